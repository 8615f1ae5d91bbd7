"""
Programs that outlive us: daemons.

A daemon lives in a session of its own, never has the host lock, and begins only after its caller has written down who
it is: until `go` it waits, and if its caller dies first, it never begins.
"""

import contextlib
import os
import socket
import subprocess
from collections.abc import Sequence
from typing import IO

from moorage.drivers.processes import Identity
from moorage.drivers.programs import (
    COMPLAINT_LIMIT_BYTES,
    SURROUNDINGS,
    Account,
    ProgramFailed,
    becoming,
    find,
    sentence,
)

START_PATIENCE_S = 10.0

# A daemon is nobody's child by the time it begins: some ask the kernel to end them with the thread that started them.
ORPHAN = 'exec 4<&0; /bin/sh -c "$@" <&4 4<&- & echo $!'
DAEMON = 'read go <&1 || exit 1; ulimit -c 0; exec "$@" </dev/null >/dev/null'
LISTENER = (
    "read go <&1 || exit 1; ulimit -c 0; ulimit -n 256; exec 3<&0 </dev/null >/dev/null; "
    'LISTEN_FDS=1; LISTEN_PID=$$; export LISTEN_FDS LISTEN_PID; exec "$@"'
)


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
        return sentence(said)


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
            [*becoming(account), "/bin/sh", "-c", ORPHAN, "sh", script, "sh", program, *argv[1:]],
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
