"""
The two ways to run a program: helpers that end soon, and daemons that outlive us.

A *helper* works under limits of time, memory and output, and inherits the descriptor of the host lock, so that the lock
is not free before the helper has ended.  A *daemon* lives in a session of its own, never has the lock, and begins only
after its caller has written down who it is: until `go` it waits, and if its caller dies first, it never begins.

A process is known by its pid, its start time and the boot; a signal goes only to a process that matches all three.
"""

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from moorage.core.errors import Problem, Unavailable
from moorage.core.pids import boot_id

OUTPUT_LIMIT_BYTES = 1 << 20
COMPLAINT_LIMIT_BYTES = 4096
START_PATIENCE_S = 10.0
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
HELPER = 'ulimit -c 0; ulimit -v "$1"; ulimit -t "$2"; ulimit -f "$3"; shift 3; exec "$@"'
# Where nobody may make a network of his own, as in many containers, there is no harm in going on without.
OFFLINE = 'unshare --net true 2>/dev/null && exec unshare --net -- "$@"; exec "$@"'
MODEST = ["env", "MALLOC_ARENA_MAX=2"]  # what a thread's arena reserves counts as memory, used or not
# A daemon is nobody's child by the time it begins: some ask the kernel to end them with the thread that started them.
ORPHAN = 'exec 4<&0; /bin/sh -c "$@" <&4 4<&- & echo $!'
DAEMON = 'read go <&1 || exit 1; ulimit -c 0; exec "$@" </dev/null >/dev/null'
LISTENER = (
    "read go <&1 || exit 1; ulimit -c 0; ulimit -n 256; exec 3<&0 </dev/null >/dev/null; "
    'LISTEN_FDS=1; LISTEN_PID=$$; export LISTEN_FDS LISTEN_PID; exec "$@"'
)


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
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[19])


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
            [*_becoming(account, pen), "/bin/sh", "-c", HELPER, "sh", *limits, program, *argv[1:]],
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
            raise ProgramFailed(program=argv[0], why=_sentence(complaint) or f"exit status {process.returncode}")
        return output


def _becoming(account: Account | None, pen: "Pen | None" = None) -> list[str]:
    """
    What a command begins with in order to run as `account`, in a `pen`. `Popen` could do it too, but copies this whole
    process for that, page tables and all, which costs more than everything else about a start; without it, it borrows
    them.
    """
    before = [] if pen is None else [*MODEST, *(["/bin/sh", "-c", OFFLINE, "sh"] if os.geteuid() == 0 else [])]
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


def _sentence(complaint: bytes) -> str:
    return " ".join(complaint.decode(errors="replace").split())[:COMPLAINT_LIMIT_BYTES]


class Daemon:
    """A process that is about to outlive us. It waits for `go`; without it, it ends when this process does."""

    def __init__(self, identity: Identity, control: socket.socket, complaints: IO[bytes]) -> None:
        self.identity = identity
        self._control = control
        self._complaints = complaints

    def go(self) -> None:
        """Let it begin. Its identity should be written down by now."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._control.sendall(b"go\n")
        self._control.close()

    def release(self) -> None:
        """Stop listening to what it says: from here on its standard error goes nowhere."""
        self._complaints.close()

    def abandon(self) -> str:
        """End it, and return what it said before it ended."""
        self._control.close()
        self.identity.end(patience_s=5)
        os.set_blocking(self._complaints.fileno(), False)
        said = self._complaints.read(COMPLAINT_LIMIT_BYTES) or b""
        self._complaints.close()
        return _sentence(said)


def start(
    argv: Sequence[str],
    *,
    account: Account | None = None,
    inherit: Sequence[int] = (),
    listening: socket.socket | None = None,
) -> Daemon:
    """
    Start `argv` in a session of its own, waiting for `go`, with no descriptors but `inherit`, which are all above 9.

    A `listening` socket is handed over in the way of systemd's socket activation.
    """
    script = DAEMON if listening is None else LISTENER
    program = find(argv[0])
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [*_becoming(account), "/bin/sh", "-c", ORPHAN, "sh", script, "sh", program, *argv[1:]],
            stdin=subprocess.DEVNULL if listening is None else listening.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=tuple(inherit),
            **SURROUNDINGS,
        )
    assert process.stderr is not None
    process.wait()
    ours.settimeout(START_PATIENCE_S)
    try:
        return Daemon(Identity.of(int(ours.recv(32))), ours, process.stderr)
    except (OSError, ValueError) as error:
        ours.close()
        raise ProgramFailed(program=argv[0], why="it did not start") from error


def _bury(pid: int) -> None:
    """Daemons are somebody else's children, unless we are the first process of a container."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
