"""
Who the data plane runs as, and what he must be able to reach.

Started by root, daemons and gates get two unprivileged accounts, so that neither can open the other's files; started by
an ordinary user, everything is his.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from moorage.core.errors import Refused
from moorage.drivers.backends.files.problems import OutOfReach
from moorage.drivers.programs import Account

# Numbers that neither Debian nor systemd hands out: daemons and gates need no entry in the list of users.
DAEMON_ID, GATE_ID, SANDBOX_ID = 64731, 64732, 64733


@dataclass(frozen=True)
class Rights:
    """The accounts of daemons and gates, and the group whose members may open gates on unix sockets."""

    daemon_uid: int
    daemon_gid: int
    gate_uid: int
    gate_gid: int
    door_gid: int | None = None

    def __post_init__(self) -> None:
        if 0 in (self.daemon_uid, self.gate_uid):
            raise Refused(reason="Daemons and gates never run as root.")
        if self.separate and self.daemon_uid == self.gate_uid:
            raise Refused(reason="Daemons and gates need two different users.")
        if self.separate and SANDBOX_ID in (self.daemon_uid, self.gate_uid):
            raise Refused(reason=f"The user {SANDBOX_ID} is for conversions alone.")

    @classmethod
    def of(cls, daemon: int | None = None, gate: int | None = None, door_gid: int | None = None) -> "Rights":
        """Two unprivileged accounts where there is root to give them, else this user's own."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), os.geteuid(), os.getegid(), door_gid)
        first, second = daemon or DAEMON_ID, gate or GATE_ID
        return cls(first, first, second, second, door_gid)

    @property
    def separate(self) -> bool:
        """Whether the accounts are others than ours."""
        return os.geteuid() == 0

    @property
    def daemon(self) -> Account:
        return Account(self.daemon_uid, self.daemon_gid)

    @property
    def gate(self) -> Account:
        return Account(self.gate_uid, self.gate_gid)

    @property
    def sandbox(self) -> Account:
        """Who reads the bytes of foreign formats: he can open images whose names he is told, and no volume."""
        return Account(SANDBOX_ID, self.daemon_gid) if self.separate else self.daemon


def give(descriptor: int, account: Account) -> None:
    """Make an open file `account`'s own, and nobody else's."""
    os.fchmod(descriptor, 0o600)
    if os.geteuid() == 0:
        os.fchown(descriptor, account.uid, account.gid)


def check_reach(path: Path, account: Account, *, write: bool) -> None:
    """Raise `OutOfReach` unless `account` may open `path`, as far as owners and modes tell."""
    for directory in reversed(path.parents):
        _check(directory, account, stat.S_IXOTH, "it cannot pass through the directory")
    _check(path, account, stat.S_IROTH | (stat.S_IWOTH if write else 0), "it cannot open the file")


def _check(path: Path, account: Account, bits: int, why: str) -> None:
    found = path.stat()
    if found.st_uid == account.uid:
        bits <<= 6
    elif found.st_gid == account.gid:
        bits <<= 3
    if found.st_mode & bits != bits:
        raise OutOfReach(uid=account.uid, path=path, why=why)


def private_directory(path: Path, mode: int, gid: int = -1) -> None:
    """Leave a directory of ours with `mode`, whatever it was before."""
    path.mkdir(parents=True, exist_ok=True)
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)
    if gid != -1 and path.stat().st_gid != gid:
        os.chown(path, -1, gid)
