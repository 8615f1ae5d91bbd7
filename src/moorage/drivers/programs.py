"""
Programs that end soon: helpers, each under limits of time, memory and output.

A helper inherits the descriptor of the host lock, so that the lock is not free before the helper has ended.  What
outlives us is in `daemons`.
"""

import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from moorage.core.errors import Problem, Unavailable

OUTPUT_LIMIT_BYTES = 1 << 20
COMPLAINT_LIMIT_BYTES = 4096
CHECK_S = 0.5
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}

SURROUNDINGS: dict[str, Any] = {"cwd": "/", "env": ENVIRONMENT, "close_fds": True, "start_new_session": True}

# fmt: off
REMEDIES = {
    # program                package on Debian
    "qemu-img":              "apt install qemu-utils",
    "qemu-storage-daemon":   "apt install qemu-system-common",
    "nbdkit":                "apt install nbdkit",
    "setpriv":               "apt install util-linux",
}
# fmt: on

# The shell sets limits without a race and without `preexec_fn`, which is unsafe where there are threads.
# What threads' stacks and arenas reserve counts as memory, used or not: QEMU starts 64 when files are slow.
HELPER = (
    'ulimit -c 0; ulimit -s 2048; ulimit -v "$1"; ulimit -t "$2"; ulimit -f "$3"; shift 3; '
    'export MALLOC_ARENA_MAX=2; exec "$@"'
)
# Where nobody may make a network of his own, as in many containers, there is no harm in going on without.
OFFLINE = 'unshare --net true 2>/dev/null && exec unshare --net -- "$@"; exec "$@"'


class ProgramMissing(Unavailable):
    """{program} is missing on this machine ({remedy})."""

    code = "program.missing"


class ProgramFailed(Problem):
    """{program} failed: {why}"""

    status, code = 500, "program.failed"


class ProgramSlow(Problem):
    """{program} did not end within {limit_s} seconds and was stopped."""

    status, code = 500, "program.slow"


@dataclass(frozen=True)
class Account:
    """The user and group that a program runs as."""

    uid: int
    gid: int

    @classmethod
    def own(cls) -> "Account":
        """That of this process."""
        return cls(os.geteuid(), os.getegid())


def find(program: str) -> str:
    """The path of `program`."""
    path = shutil.which(program, path=ENVIRONMENT["PATH"])
    if path is None:
        raise ProgramMissing(program=program, remedy=REMEDIES.get(program, "install it"))
    return path


@dataclass(frozen=True)
class Pen:
    """
    What a helper gets that takes its time over bytes that others chose: no network, no file longer than allowed, no way
    to more rights, and its end with ours, so that nobody has to wait for it in order to take over.
    """

    file_limit_bytes: int
    check: Callable[[], None]  #: raises when the work is no longer wanted; asked twice a second


class Helpers:
    """Runs programs that end soon, each under limits, all holding `lock` while they run."""

    def __init__(self, lock: int | None = None) -> None:
        self._lock = () if lock is None else (lock,)

    def run(
        self,
        argv: Sequence[str],
        *,
        time_limit_s: float,
        memory_limit_bytes: int,
        account: Account | None = None,
        pen: "Pen | None" = None,
    ) -> bytes:
        """What `argv` wrote to its standard output, once it has ended well; a `pen` is for long and untrusted work."""
        program = find(argv[0])  # before what it is started with: its name says more
        file_limit = "unlimited" if pen is None else str(-(-pen.file_limit_bytes // 512))
        limits = [str(memory_limit_bytes // 1024), str(int(time_limit_s) + 1), file_limit]
        process = subprocess.Popen(
            [*becoming(account, pen), "/bin/sh", "-c", HELPER, "sh", *limits, program, *argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=self._lock,
            **SURROUNDINGS,
        )
        with process:
            try:
                output, complaint = _collect(process, argv[0], time_limit_s, pen.check if pen else None)
            finally:
                _end_group(process)
        if process.returncode != 0:
            raise ProgramFailed(program=argv[0], why=sentence(complaint) or f"exit status {process.returncode}")
        return output


def becoming(account: Account | None, pen: "Pen | None" = None) -> list[str]:
    """
    What a command begins with in order to run as `account`, in a `pen`. `Popen` could do it too, but copies this whole
    process for that, page tables and all, which costs more than everything else about a start; without it, it borrows
    them.
    """
    before = ["/bin/sh", "-c", OFFLINE, "sh"] if pen is not None and os.geteuid() == 0 else []
    words = [] if pen is None else ["--pdeathsig=KILL", "--no-new-privs"]
    if account is not None and account != Account.own():
        words += [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
    return [*before, find("setpriv"), *words, "--"] if words else before


def _collect(
    process: "subprocess.Popen[bytes]", program: str, time_limit_s: float, check: Callable[[], None] | None = None
) -> tuple[bytes, bytes]:
    assert process.stdout is not None and process.stderr is not None
    deadline = time.monotonic() + time_limit_s
    parts: dict[int, bytearray] = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    poll = select.poll()
    for descriptor in parts:
        poll.register(descriptor, select.POLLIN)
    opened = set(parts)
    while opened:
        left_s = max(0.0, deadline - time.monotonic())
        ready = poll.poll((left_s if check is None else min(left_s, CHECK_S)) * 1000)
        if check is not None:
            check()
        if not ready and time.monotonic() >= deadline:
            raise ProgramSlow(program=program, limit_s=time_limit_s)
        for descriptor, _ in ready:
            chunk = os.read(descriptor, 65536)
            parts[descriptor] += chunk
            if not chunk:
                poll.unregister(descriptor)
                opened.discard(descriptor)
            if len(parts[descriptor]) > OUTPUT_LIMIT_BYTES:
                raise ProgramFailed(program=program, why="it wrote more than it may")
    try:
        process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise ProgramSlow(program=program, limit_s=time_limit_s) from None
    output, complaint = parts.values()
    return bytes(output), bytes(complaint)


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:  # its group exists as long as we have not buried it
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def sentence(complaint: bytes) -> str:
    """What a program complained of, in one line."""
    return " ".join(complaint.decode(errors="replace").split())[:COMPLAINT_LIMIT_BYTES]
