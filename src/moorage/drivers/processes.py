"""
Processes that are known for certain: by pid, start time and boot.

A signal goes only to a process that matches all three.
"""

import contextlib
import os
import select
import signal
from dataclasses import dataclass

from moorage.core.pids import boot_id


@dataclass(frozen=True)
class Identity:
    """One process, told apart from all others that had or will have its pid."""

    pid: int
    start: int  #: in clock ticks since the boot
    boot: str

    @classmethod
    def of(cls, pid: int) -> "Identity":
        """The process that has `pid` now."""
        start = _start(pid)
        if start is None:
            raise ProcessLookupError(pid)
        return cls(pid, start, boot_id())

    def alive(self) -> bool:
        """Whether any thread of it still runs, is stopped, or hangs in the kernel, from where a write may yet land."""
        return not self.wait(0)

    def end(self, patience_s: float, number: signal.Signals = signal.SIGKILL) -> bool:
        """Send it `number` and wait; says whether it is gone. Nobody else is ever hit."""
        return self._watch(patience_s, number)

    def wait(self, patience_s: float) -> bool:
        """Wait for its end; says whether it has come."""
        return self._watch(patience_s, None)

    def _watch(self, patience_s: float, number: signal.Signals | None) -> bool:
        descriptor = look_at(self)
        if descriptor is None:
            return True
        try:
            if number is not None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, number)
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)  # ready once the last thread has left, not the first
            gone = bool(poll.poll(patience_s * 1000))
            if gone:
                _bury(self.pid)
            return gone
        finally:
            os.close(descriptor)


def look_at(process: Identity) -> int | None:
    """A descriptor of the process, which becomes readable at its end; None: that has come. The caller closes it."""
    try:
        descriptor = os.pidfd_open(process.pid) if process.pid else None
    except ProcessLookupError:
        return None
    # Asked after the descriptor was opened, which therefore means this process.
    if descriptor is not None and (process.boot != boot_id() or _start(process.pid) != process.start):
        os.close(descriptor)
        return None
    return descriptor


def _start(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[19])


def _bury(pid: int) -> None:
    """Daemons are somebody else's children, unless we are the first process of a container."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
