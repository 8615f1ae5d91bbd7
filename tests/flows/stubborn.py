"""A holder who keeps writing whatever happens: over NBD or through a device, connecting anew whenever he is cut off."""

import contextlib
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from moorage.volumes.backend import Connection
from tests.drivers.clients import ClientError, client
from tests.patience import until

BLOCK, BLOCKS = 4096, 32


def content(number: int) -> bytes:
    """What write `number` puts there; never zeroes."""
    return struct.pack("<Q", number) * (BLOCK // 8)


LIFE_S = 240.0  #: whom nobody ends, since his test has failed, troubles the others for so long


class Stubborn(threading.Thread):
    """Writes numbered blocks round and round until he is told to stop, not until he is told that he may not."""

    def __init__(self, opened: "Callable[[], Any]") -> None:
        super().__init__(daemon=True)
        self._opened, self._stop_it = opened, threading.Event()
        self.acknowledged: dict[int, int] = {}  #: by block, the last number that was said to be there
        self.sent: dict[int, set[int]] = {n: set() for n in range(BLOCKS)}
        self.refused = 0
        self.start()

    def run(self) -> None:
        number = 0
        gives_up = time.monotonic() + LIFE_S
        while not self._stop_it.is_set() and time.monotonic() < gives_up:
            try:
                with self._opened() as write:
                    while not self._stop_it.is_set():
                        number += 1
                        self.sent[number % BLOCKS].add(number)
                        write(content(number), number % BLOCKS * BLOCK)
                        self.acknowledged[number % BLOCKS] = number
            except (ClientError, OSError):
                self.refused += 1
                time.sleep(0.01)

    def writing(self) -> "Stubborn":
        """Wait until each block was written."""
        self._until(lambda: len(self.acknowledged) == BLOCKS)
        return self

    def insist(self, times: int = 3) -> None:
        """Wait until he was refused so many times more."""
        more = self.refused + times
        self._until(lambda: self.refused >= more)

    def end(self) -> None:
        self._stop_it.set()
        self.join(60)
        assert not self.is_alive()

    @staticmethod
    def _until(holds: Callable[[], bool]) -> None:
        until(holds)


def over_nbd(uri: str, key: Path | None = None) -> Callable[[], Any]:
    """How he opens an NBD export."""

    @contextlib.contextmanager
    def opened() -> Iterator[Callable[[bytes, int], None]]:
        with client(Connection(uri), key) as nbd:
            yield nbd.pwrite

    return opened


def on_device(path: str) -> Callable[[], Any]:
    """How he opens a block device: past its cache, and only while it is still his (numbers are used again)."""
    backing = Path("/sys/block", Path(path).name, "loop/backing_file")
    mine = backing.read_text()

    @contextlib.contextmanager
    def opened() -> Iterator[Callable[[bytes, int], None]]:
        fd = os.open(path, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)
        try:
            if backing.read_text() != mine:
                raise OSError(f"{path} is somebody else's now")
            with mmap.mmap(-1, BLOCK) as aligned:

                def write(data: bytes, at: int) -> None:
                    aligned[:] = data
                    if os.pwritev(fd, [aligned], at) != BLOCK:
                        raise OSError("a short write")

                yield write
        finally:
            os.close(fd)

    return opened


def seen(uri: str) -> list[bytes]:
    """What somebody else reads of his blocks."""
    with client(Connection(uri)) as nbd:
        return [bytes(nbd.pread(BLOCK, n * BLOCK)) for n in range(BLOCKS)]
