"""
What ties a program that serves one connection to this process until the connection stands.

From then on such a program ends with its connection; before, QEMU's goes on for ever when the one who was to connect
has died.
"""

import fcntl
import os
from collections.abc import Sequence

FIRST_FREE_DESCRIPTOR = 10  #: what daemons inherit is above what their shells use

# A shell stands between: it waits for a word that comes, or for the end of whoever was to say it. The program's
# listening socket is descriptor 3, as a service manager would give it.
SHELL = (
    'eval "exec 4$1"; shift; '
    '/bin/sh -c \'LISTEN_PID=$$; LISTEN_FDS=1; export LISTEN_PID LISTEN_FDS; exec "$@" 4<&- >/dev/null\' sh "$@" & '
    "exec 3<&-; read stands <&4 && { wait; exit; }; kill -9 $!"
)


class Tie:
    """A pipe on which the connection is said to stand. `close` without that ends the program. Twice is fine."""

    def __init__(self) -> None:
        low, self._ours = os.pipe()
        try:
            self.end = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE_DESCRIPTOR)
        except BaseException:
            os.close(self._ours)
            raise
        finally:
            os.close(low)

    def command(self, argv: Sequence[str], at: str = "") -> list[str]:
        """`argv`, tied to `end`, or to wherever `at` says, as a shell redirects, that the program finds it."""
        return ["/bin/sh", "-c", SHELL, "sh", at or f"</proc/self/fd/{self.end}", *argv]

    def stands(self) -> None:
        """The connection stands: its end is the program's end from now on."""
        os.write(self._ours, b"stands\n")

    def close(self) -> None:
        """This process holds nothing more of it."""
        for descriptor in (self.end, self._ours):
            if descriptor >= 0:
                os.close(descriptor)
        self.end = self._ours = -1
