"""
Locks between threads and between processes of one host.

`Queue` lets threads through in the order in which they came (a plain lock lets late ones barge in, which starves some for
seconds).  `FileLock` does the same between processes, by a turnstile before the lock proper, and names its holder, so that
one that is stopped (SIGSTOP), not dead, can be succeeded: it is killed, by pid and start time, through a pidfd.
"""

import contextlib
import fcntl
import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

PATIENCE_S = 10.0  #: how long a stopped process may hold a lock of this kind


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
        turn.acquire()

    def __exit__(self, *exc: object) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()  # the lock passes on without ever being free
            else:
                self._held = False


def started(pid: int) -> str | None:
    """The start time of process `pid` in clock ticks since boot, and its state letter; None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[19] if fields[0] not in "ZX" else None


def stopped(pid: int) -> bool:
    """Whether process `pid` is stopped by a signal."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"
    except OSError:
        return False


def kill(pid: int, start: str) -> bool:
    """Kill process `pid` if it still is the one that started at `start`; whether that was permitted."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if started(pid) == start:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        return True
    except PermissionError:
        return False
    finally:
        os.close(handle)


class _Gate:
    """One flock that says who holds it."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def acquire(self, me: bytes) -> None:
        pause, since = 0.0002, time.monotonic()
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() - since > PATIENCE_S:
                    self._succeed()
                    since = time.monotonic()
                time.sleep(pause)
                pause = min(pause * 1.5, 0.005)
                continue
            os.pwrite(self._fd, me, 0)
            return

    def release(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _succeed(self) -> None:
        pid, _, start = os.pread(self._fd, 64, 0).decode().strip().partition(" ")
        if pid.isdigit() and stopped(int(pid)) and started(int(pid)) == start:
            log.warning("process %s is stopped and holds the database's write lock: killing it", pid)
            if not kill(int(pid), start):
                log.error("no permission to kill process %s; waiting for it", pid)


class FileLock:
    """A lock between processes, nearly first come first served. Threads of one process take a `Queue` around it."""

    def __init__(self, path: Path) -> None:
        self._turnstile, self._lock = _Gate(path.with_suffix(".turn")), _Gate(path)
        pid = os.getpid()
        self._me = f"{pid} {started(pid)}".ljust(63).encode() + b"\n"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold it for the length of the block."""
        self._turnstile.acquire(self._me)
        try:
            self._lock.acquire(self._me)
        finally:
            self._turnstile.release()
        try:
            yield
        finally:
            self._lock.release()
