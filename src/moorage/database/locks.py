"""
Locks between threads and between processes of one host.

`Queue` lets threads through in the order in which they came (a plain lock lets late ones barge in, which starves some
for seconds). `FileLock` does nearly the same between processes, by a turnstile before the lock proper: who waits at the
lock is next, whoever comes later waits at the turnstile. A holder that is stopped (SIGSTOP), not dead, is succeeded:
the kernel says who it is, and it is killed, by pid and start time, through a pidfd.
"""

import contextlib
import fcntl
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from moorage.core.pids import flock_holder, kill, started, stopped

log = logging.getLogger(__name__)

PATIENCE_S = 10.0  #: how long a stopped process may hold a lock of this kind
LOOK_S = 0.25  #: how often one who waits looks at the holder

__all__ = ["PATIENCE_S", "FileLock", "Queue", "kill", "started", "stopped"]


class Queue:
    """A lock that serves threads first come, first served."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._held = False

    def __enter__(self) -> None:
        with self._guard:
            if not self._held:
                self._held = True
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        try:
            turn.acquire()
        except BaseException:  # the main thread was interrupted: nobody must ever wait for a turn that it will not take
            with self._guard:
                had = turn not in self._waiting
                if not had:
                    self._waiting.remove(turn)
            if had:
                self.__exit__()
            raise

    def __exit__(self, *exc: object) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()  # the lock passes on without ever being free
            else:
                self._held = False


class _Gate:
    """
    One flock, waited for by looking again and again, since a thread that sleeps in flock() cannot be told to stop.
    """

    def __init__(self, path: Path, patience_s: float) -> None:
        self._path, self._patience_s = path, patience_s
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def acquire(self) -> None:
        if self._taken():
            return
        pause, suspect = 0.0002, _Suspect(self._path, self._fd, self._patience_s)
        while not self._taken():
            suspect.look()
            time.sleep(pause)
            pause = min(pause * 1.5, 0.002)

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let go of it; nothing happens where it is not held."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def reopen(self) -> None:
        """Have a file description of our own: the one that came over a fork is the parent's lock."""
        os.close(self._fd)
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        os.close(self._fd)


class _Suspect:
    """The holder of a gate, as somebody who waits for it watches him: killed once he was seen stopped for too long."""

    def __init__(self, path: Path, fd: int, patience_s: float) -> None:
        self._path, self._fd, self._patience_s = path, fd, patience_s
        self._next = time.monotonic() + LOOK_S
        self._who: tuple[int, str] | None = None
        self._since, self._told = 0.0, False

    def look(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LOOK_S
        pid = flock_holder(self._fd)
        start = started(pid) if pid is not None and stopped(pid) else None
        who = (pid, start) if pid is not None and start is not None else None
        if who is None or who != self._who:
            self._who, self._since = who, now
        elif now - self._since >= self._patience_s:
            self._succeed(*who)

    def _succeed(self, pid: int, start: str) -> None:
        if kill(pid, start):
            log.warning("process %d was stopped and held %s: it was killed", pid, self._path.name)
        elif not self._told:
            self._told = True
            log.error(
                "process %d is stopped and holds %s, and there is no permission to kill it: waiting",
                pid,
                self._path.name,
            )


class FileLock:
    """A lock between processes, nearly first come first served. Threads of one process take a `Queue` around it."""

    def __init__(self, path: Path, patience_s: float = PATIENCE_S) -> None:
        self._turnstile, self._lock = _Gate(path.with_name(path.name + ".turn"), patience_s), _Gate(path, patience_s)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold it for the length of the block."""
        try:
            self._turnstile.acquire()
            self._lock.acquire()
            self._turnstile.release()
            yield
        finally:  # wherever it was interrupted: letting go of what is not held does nothing
            self._lock.release()
            self._turnstile.release()

    def reopen(self) -> None:
        """Be a lock of this process's own, after a fork."""
        self._turnstile.reopen()
        self._lock.reopen()

    def close(self) -> None:
        self._turnstile.close()
        self._lock.close()
