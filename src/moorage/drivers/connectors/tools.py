"""
The short programs that make and remove devices, each given so long and no longer.

A tool that waits for a hung device cannot even be killed before the device's server is gone.  So nobody waits for its
death: it is sent a signal, left behind, and buried later.
"""

import subprocess
import threading

from moorage.drivers.programs import ENVIRONMENT, find

SAID_BYTES = 500


class Slow(Exception):
    """A tool did not end in time. It may still end, and do what it was asked to."""


class Tools:
    """Runs tools, which hold `lock` for as long as they run."""

    def __init__(self, lock: int | None = None) -> None:
        self._lock = () if lock is None else (lock,)
        self._left: list[subprocess.Popen[bytes]] = []
        self._guard = threading.Lock()

    def run(self, program: str, *words: str, patience_s: float, locked: bool = True) -> str:
        """What the tool complained of; nothing, if it ended well. One that changes nothing needs no lock."""
        self._bury()
        process = subprocess.Popen(
            [find(program), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            env=ENVIRONMENT,
            pass_fds=self._lock if locked else (),
            start_new_session=True,
        )
        try:
            _, said = process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            with self._guard:
                self._left.append(process)
            raise Slow(f"{program} did not end within {patience_s:.1f} seconds") from None
        if process.returncode == 0:
            return ""
        return (
            " ".join(said.decode(errors="replace").split())[:SAID_BYTES]
            or f"{program}: exit status {process.returncode}"
        )

    def _bury(self) -> None:
        with self._guard:
            self._left = [process for process in self._left if process.poll() is None]
