"""
The host lock: what touches daemons, volume files or devices of a state directory is done by one process at a time.

It is a flock, so that it ends with its holder and with the short helpers that inherited it (`fileno`), which must be
gone before anybody else touches what they touch. Nothing that lives long inherits it.

A holder that is stopped, not dead, is killed by its successor, under three conditions: the file names it by pid, start
time and boot; the kernel says that this process has the lock; and its row in `processes` has not been touched for a
lease. Without the permission to kill it the successor waits, and `why_not` says so.
"""

import contextlib
import fcntl
import json
import logging
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import select

from moorage.core.pids import flock_holder, kill, pid_space, started, stopped
from moorage.database import Database
from moorage.operations.journal import SECOND
from moorage.operations.records import processes

log = logging.getLogger(__name__)

PAUSE_S = 0.1


@dataclass(frozen=True)
class Holder:
    """Who holds the lock, as the lock file says."""

    pid: int
    started: str
    boot: str


class HostLock:
    """The lock of one state directory. One object for each process; its methods may be called from any thread."""

    def __init__(self, path: Path, database: Database | None = None, *, lease_s: float = 10.0) -> None:
        """
        With a `database`, a holder whose heartbeat there is older than `lease_s` is killed by whoever wants the lock.
        """
        self._path, self._database, self._lease_s = path, database, lease_s
        self._fd: int | None = None
        self._watched: tuple[Holder, float] | None = None
        self._unlisted: tuple[Holder, float] | None = None
        self._refused: Holder | None = None

    def try_acquire(self) -> bool:
        """Take the lock if it is free; whether it is ours. A holder that has fallen silent is killed on the way."""
        if self._fd is not None:
            return True
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._succeed(fd)
            os.close(fd)
            return False
        except BaseException:
            os.close(fd)
            raise
        _sign(fd)
        self._fd, self._watched, self._refused = fd, None, None
        return True

    def acquire(self, timeout_s: float | None = None) -> bool:
        """Take the lock, waiting for it up to `timeout_s` (None: for ever); whether it is ours."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.try_acquire():
            if until is not None and time.monotonic() >= until:
                return False
            time.sleep(PAUSE_S)
        return True

    def release(self) -> None:
        """Let go of it; it is free once the helpers that inherited it have ended."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    @property
    def held(self) -> bool:
        """Whether this process holds it."""
        return self._fd is not None

    def fileno(self) -> int:
        """The descriptor that short helpers inherit: `Popen(..., pass_fds=[lock.fileno()])`."""
        if self._fd is None:
            raise AssertionError("the host lock is not held")
        return self._fd

    def holder(self) -> Holder | None:
        """Who holds the lock now; None when nobody does, or only helpers of one that has died."""
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            return _holder(file.fileno())
        return None

    def why_not(self) -> str | None:
        """Why this process cannot have the lock, in a sentence for `doctor`; None when it has it or it is free."""
        if self._fd is not None:
            return None
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return None
            except BlockingIOError:
                return self._reason(_holder(file.fileno()), flock_holder(file.fileno()))
        return None

    def _reason(self, holder: Holder | None, pid: int | None) -> str:
        if holder is None and pid is not None:
            return f"Process {pid} holds {self._path} and has not said who it is yet."
        if holder is None:
            return f"A short helper of a process that has died still holds {self._path}; it ends by itself."
        if holder == self._refused:
            return (
                f"Process {holder.pid} holds {self._path} and has fallen silent, and it may not be killed by us; "
                f"continue it (kill -CONT {holder.pid}) or end it (kill -KILL {holder.pid})."
            )
        state = "is stopped and will be succeeded" if stopped(holder.pid) else "looks after this host"
        return f"Process {holder.pid} {state}: it holds {self._path}."

    def _succeed(self, fd: int) -> None:
        """
        Kill the holder if it has been silent for a lease, by the database and, unless it is stopped, before our eyes.
        """
        holder = _holder(fd)
        if holder is None or self._database is None or not self._silent(self._database, holder):
            self._watched = None
            return
        now = time.monotonic()
        if self._watched is None or self._watched[0] != holder:
            self._watched = (holder, now)
        if not stopped(holder.pid) and now - self._watched[1] < self._lease_s:
            return  # a clock may have been set; what goes on to be silent for a lease is silent
        if kill(holder.pid, holder.started):
            log.warning("process %d held %s and was silent: it was killed", holder.pid, self._path)
        elif holder != self._refused:
            self._refused = holder
            log.error("process %d holds %s and is silent; there is no permission to kill it", holder.pid, self._path)

    def _silent(self, database: Database, holder: Holder) -> bool:
        """Whether the holder's heartbeat is older than a lease. One that is not listed yet is given a lease to be."""
        c = processes.c
        query = select(c.heartbeat_at).where(c.pid == holder.pid, c.started == holder.started, c.boot == holder.boot)
        with database.read() as tx:
            heard = tx.value(query.order_by(c.heartbeat_at.desc()).limit(1))
            if heard is not None:
                return bool(heard < tx.now - int(self._lease_s * SECOND))
        return self._unlisted_for_a_lease(holder)

    def _unlisted_for_a_lease(self, holder: Holder) -> bool:
        if not stopped(holder.pid):
            self._unlisted = None
            return False
        now = time.monotonic()
        if self._unlisted is None or self._unlisted[0] != holder:
            self._unlisted = (holder, now)
        return now - self._unlisted[1] >= self._lease_s


def _sign(fd: int) -> None:
    """Write into the file who has it."""
    me = Holder(os.getpid(), started(os.getpid()) or "", pid_space())
    os.pwrite(fd, json.dumps(asdict(me)).encode().ljust(256) + b"\n", 0)


def _holder(fd: int) -> Holder | None:
    """Who the file says has it, if it is alive and the kernel says so too."""
    try:
        said = Holder(**json.loads(os.pread(fd, 512, 0)))
    except (ValueError, TypeError):
        return None
    alive = said.boot == pid_space() and started(said.pid) == said.started
    return said if alive and flock_holder(fd) == said.pid else None
