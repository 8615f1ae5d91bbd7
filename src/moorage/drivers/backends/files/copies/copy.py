"""
One copy: a sparse file of exactly the bytes that are elsewhere, chunk by chunk fetched, verified, written, and only
then said to be there.

However many want a chunk at once, one of them fetches it and the others wait for him.
"""

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

from moorage.drivers.backends.files.copies.book import Book
from moorage.drivers.backends.files.layers import room_for
from moorage.drivers.backends.files.problems import LayerMissing
from moorage.volumes.backend import SourceDiffers, Supply

HOLE_BYTES = 64 << 10
ZEROS = bytes(HOLE_BYTES)


class Copy:
    """An open copy. Any thread may ask it for anything."""

    def __init__(self, name: str, data: Path, book: Path, backend: str) -> None:
        self.name, self.data, self.book_path, self._backend = name, data, book, backend
        self.book = Book(book)
        self._file = data.open("r+b", buffering=0)
        self._guard, self._settling = threading.Lock(), threading.Lock()
        self._flights: dict[int, Future[int]] = {}
        self._gone = False

    def gone(self) -> None:
        """It is deleted: nobody fetches anything for it any more, and what is under way is of no consequence."""
        with self._guard:
            self._gone = True

    def fill(self, chunk: int, supply: Supply) -> int:
        """Leave the chunk there; how many bytes were fetched for that by this call."""
        if not 0 <= chunk < self.book.count:
            return 0
        with self._guard:
            if self._gone:
                raise LayerMissing(layer=self.name)
            if self.book.there(chunk):
                return 0
            flight = self._flights.get(chunk)
            leads = flight is None
            if flight is None:
                flight = self._flights[chunk] = Future()
        if not leads:
            flight.result()
            return 0
        return self._lead(flight, chunk, supply)

    def _lead(self, flight: "Future[int]", chunk: int, supply: Supply) -> int:
        try:
            moved = self._fetch(chunk, supply)
        except BaseException as problem:
            self._land(chunk)
            flight.set_exception(problem)
            raise
        self._land(chunk)
        flight.set_result(moved)
        return moved

    def _land(self, chunk: int) -> None:
        with self._guard:
            del self._flights[chunk]

    def _fetch(self, chunk: int, supply: Supply) -> int:
        offset, length = self.book.span(chunk)
        data = bytearray()
        for part in supply.open(self.name, offset, length):
            data += part
            if len(data) > length:
                break
        if len(data) != length or hashlib.sha256(data).digest() != self.book.digest(chunk):
            raise SourceDiffers(part=chunk, copy=self.name)
        with room_for(length, self._backend):
            put(self._file.fileno(), data, offset)
        self.book.mark(chunk)
        return length

    def settle(self) -> bool:
        """Leave what is there durable; whether that is all."""
        with self._settling:
            chunks = self.book.present()
            with room_for(0, self._backend):
                os.fdatasync(self._file.fileno())
            self.book.keep(chunks)
            return self.book.whole


def put(descriptor: int, data: bytes | bytearray, offset: int) -> None:
    """Write to a sparse file what is not zeros."""
    view = memoryview(data)
    for start, end in _solid_runs(view):
        at = start
        while at < end:
            at += os.pwrite(descriptor, view[at:end], offset + at)


def _solid_runs(data: memoryview) -> Iterator[tuple[int, int]]:
    """Where there is anything but whole blocks of zeros, which a sparse file has already."""
    begin = None
    for at in range(0, len(data), HOLE_BYTES):
        block = data[at : at + HOLE_BYTES]
        if block == ZEROS[: len(block)]:
            if begin is not None:
                yield begin, at
            begin = None
        elif begin is None:
            begin = at
    if begin is not None:
        yield begin, len(data)
