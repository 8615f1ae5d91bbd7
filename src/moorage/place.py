"""The state directory and what lies in it; where the sockets are."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from moorage.core.errors import Conflict


class SocketsUnsafe(Conflict):
    """{path} is where sockets go, but {why}; name a directory of your own with XDG_RUNTIME_DIR."""

    code = "place.sockets-unsafe"


@dataclass(frozen=True)
class Place:
    """One Moorage on this machine. Copying a stopped state directory copies the cloud."""

    state: Path

    @property
    def locks(self) -> Path:
        """Lock and record files of running processes."""
        return self.state / "run"

    @property
    def keys(self) -> Path:
        return self.state / "keys"

    @property
    def clouds(self) -> Path:
        return self.state / "clouds.yaml"

    @property
    def cloud(self) -> Path:
        """Which database this directory belongs to."""
        return self.state / "cloud"

    @property
    def host_lock(self) -> Path:
        return self.locks / "host.lock"

    @property
    def sockets(self) -> Path:
        """Where sockets are: outside the state directory, because a socket's path may have 107 bytes at most."""
        name = hashlib.sha256(str(self.state.resolve()).encode()).hexdigest()[:12]
        return self._runtime / "moorage" / name

    @property
    def _runtime(self) -> Path:
        own = os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/moorage-{os.geteuid()}"
        return Path("/run" if os.geteuid() == 0 else own)

    @property
    def agent(self) -> Path:
        """The host agent's socket."""
        return self.sockets / "agent"

    @property
    def database(self) -> Path:
        """The records, when they are in SQLite."""
        return self.state / "moorage.db"

    @staticmethod
    def keep_private(path: Path) -> None:
        """Make sure that `path` exists and that nobody else can read it: it holds secrets."""
        path.touch(mode=0o600)
        path.chmod(0o600)

    def prepare(self) -> None:
        """
        Make the directories. Storage daemons pass through them under another uid, so they may be searched, not listed.
        Sockets are in no directory that somebody else could put his own into: /tmp is open to everybody.
        """
        _keep_own(self._runtime)
        passages = (self.state, self.state / "volumes", self.state / "images", self.sockets.parent, self.sockets)
        for directory, mode in (*((d, 0o711) for d in passages), (self.locks, 0o700), (self.keys, 0o700)):
            if not directory.exists():  # what somebody else made stays as it is
                directory.mkdir(parents=True, exist_ok=True)
                directory.chmod(mode)  # whatever the umask


def _keep_own(directory: Path) -> None:
    """Make sure that the directory exists and that nobody but us can make anything in it."""
    directory.mkdir(mode=0o711, parents=True, exist_ok=True)
    seen = directory.lstat()
    if not stat.S_ISDIR(seen.st_mode):
        raise SocketsUnsafe(path=directory, why="it is no directory")
    if seen.st_uid != os.geteuid():
        raise SocketsUnsafe(path=directory, why=f"it belongs to user {seen.st_uid}")
    if seen.st_mode & 0o022:
        raise SocketsUnsafe(path=directory, why="others may write to it")
