"""
Processes of this machine by pid and start time, which together never name another process, even after the pid is
reused.
"""

import os
import signal
from functools import lru_cache
from pathlib import Path


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the program's name, which may itself hold spaces and parentheses."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def started(pid: int) -> str | None:
    """When process `pid` started, in clock ticks since boot; None when it is gone (a zombie is)."""
    fields = _stat(pid)
    return fields[19] if fields is not None and fields[0] not in "ZX" else None


def stopped(pid: int) -> bool:
    """Whether process `pid` is stopped by a signal or a debugger."""
    fields = _stat(pid)
    return fields is not None and fields[0] in "Tt"


@lru_cache(1)
def boot_id() -> str:
    """Which boot of this machine this is: no process sees two."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def pid_space() -> str:
    """What pids mean something to each other: the boot, and the pid namespace within it (a container has its own)."""
    return f"{boot_id()}/{os.readlink('/proc/self/ns/pid')}"


def kill(pid: int, start: str) -> bool:
    """Kill process `pid` if it still is the one that started at `start`; False when that is not permitted."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if started(pid) == start:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    finally:
        os.close(handle)


def flock_holder(descriptor: int) -> int | None:
    """
    The pid of the process that holds the exclusive flock on the open file `descriptor`, as the kernel knows it; None
    when nobody does, when it is a process of another pid namespace, or when we may not look.
    """
    file = os.fstat(descriptor)
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    for line in lines:  # "5: FLOCK  ADVISORY  WRITE 812 08:01:789 0 EOF"; one that waits has "->" after its number
        fields = line.split()
        if fields[1:2] == ["FLOCK"] and fields[3] == "WRITE" and fields[5].endswith(f":{file.st_ino}"):
            pid = int(fields[4])
            if _has_open(pid, file):
                return pid
    return None


def _has_open(pid: int, file: os.stat_result) -> bool:
    """Whether process `pid` has `file` open (the device in /proc/locks is not stat's on every file system)."""
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                found = os.stat(f"/proc/{pid}/fd/{name}")
            except OSError:
                continue
            if (found.st_dev, found.st_ino) == (file.st_dev, file.st_ino):
                return True
    except FileNotFoundError:
        return False
    except PermissionError:  # then nobody can tell, and nobody who asks could kill it either
        return True
    return False
