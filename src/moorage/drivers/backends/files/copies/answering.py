"""
Answering the readers of a copy: a connection to its server, by which we are told which chunks are waited for.

By the same connection we hear at once when the server has died.
"""

import select
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from moorage.drivers.backends.files.copies import server as program

FETCHERS = 4  #: chunks that readers of one copy have fetched at once
PULSE_S = 1.0  #: how often a server is told that we are there, though there is nothing to say
RECONNECT_S = 0.2


class Answering:
    """Fetches for the readers of one copy, as long as its server lives: `fetch` leaves a chunk there, or raises."""

    def __init__(self, copy: str, address: Path, fetch: Callable[[int], bool], over: Callable[[str], None]) -> None:
        self._copy, self._address, self._fetch, self._over = copy, address, fetch, over
        self._connection: socket.socket | None = None
        self._sending = threading.Lock()
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch")
        threading.Thread(target=self._run, name="answering", daemon=True).start()

    def stop(self) -> None:
        """Fetch nothing more; the server goes on."""
        self._stopped.set()
        with suppress(OSError):
            if self._connection is not None:
                self._connection.shutdown(socket.SHUT_RDWR)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as self._connection:
                self._connection.connect(str(self._address))
                self._listen(self._connection)
        except (OSError, RuntimeError, program.Bye):
            pass
        if not self._stopped.wait(RECONNECT_S):
            self._over(self._copy)

    def _listen(self, connection: socket.socket) -> None:
        said = time.monotonic()
        while not self._stopped.is_set():
            if select.select([connection], [], [], PULSE_S)[0]:
                (chunk,) = program.NUMBER.unpack(program.take(connection, program.NUMBER.size))
                self._pool.submit(self._answer, connection, chunk)
            if time.monotonic() >= said + PULSE_S:
                said = time.monotonic()
                self._say(connection, program.PULSE, True)

    def _answer(self, connection: socket.socket, chunk: int) -> None:
        well = self._fetch(chunk)
        if not self._stopped.is_set():  # else whoever comes after us is asked again, and no reader hears that it failed
            with suppress(OSError):
                self._say(connection, chunk, well)

    def _say(self, connection: socket.socket, chunk: int, well: bool) -> None:
        with self._sending:
            connection.sendall(program.SAID.pack(chunk, well))

    def let_go(self, pid: int) -> None:
        """Have the reads of that daemon that wait now wait no longer."""
        with self._sending, suppress(OSError):
            if self._connection is not None:
                self._connection.sendall(program.SAID.pack(program.LET_GO, False) + program.SAID.pack(pid, False))


def patiently(
    fetch: Callable[[], object], failed: Callable[[Exception], None], stopped: Callable[[], bool], patience_s: float
) -> bool:
    """Try again, with growing pauses, until that takes too long; whether it worked in the end."""
    until, pause_s = time.monotonic() + patience_s, 0.1
    while not stopped():
        try:
            fetch()
            return True
        except Exception as problem:
            failed(problem)
        if time.monotonic() + pause_s > until:
            return False
        time.sleep(pause_s)
        pause_s *= 2
    return False
