"""
The book of a copy: which of its chunks are there, and what each of them must be.

It is a file beside the copy: a page that says what the copy is, a byte for each chunk, a digest for each chunk.  Others
map it and see at once that a chunk has come.  A chunk is *present* once its bytes were verified and written, *durable*
once they are on the disk: of what was only present, a power failure may have left anything; it is fetched again.
"""

import mmap
import os
import struct
from collections.abc import Sequence
from pathlib import Path

from moorage.core.pids import boot_id
from moorage.volumes.backend import CHUNK_BYTES, DIGEST_BYTES

SUFFIX = ".book"
PAGE = 4096
MAGIC = b"moor-cp1"
FIRST = struct.Struct("<8sQQ36s?")
ABSENT, PRESENT, DURABLE = 0, 1, 2


class BadBook(Exception):
    """The file is no book."""


def beside(copy: Path) -> Path:
    """Where the book of a copy is."""
    return copy.with_name(copy.name + SUFFIX)


def whole(copy: Path) -> bool:
    """Whether all of a copy's bytes are there, so that it is a file like any other."""
    with beside(copy).open("rb") as file:
        magic, _, _, _, found = FIRST.unpack(file.read(FIRST.size))
    return bool(magic == MAGIC and found)


def chunks_of(size: int) -> int:
    """How many chunks `size` bytes are."""
    return -(-size // CHUNK_BYTES)


def text(size: int, digests: bytes, *, whole: bool = False) -> bytes:
    """What a new book says."""
    count = chunks_of(size)
    if not whole and len(digests) != count * DIGEST_BYTES:
        raise BadBook(f"{len(digests)} bytes of digests are not those of {count} chunks")
    first = FIRST.pack(MAGIC, size, CHUNK_BYTES, boot_id().encode().ljust(36), whole)
    state = bytes([DURABLE if whole else ABSENT]) * count
    return first.ljust(PAGE, b"\0") + state + digests


class Book:
    """An open book. Whoever writes in it is alone with it; any number may read along."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        magic, size, chunk_bytes, boot, whole = FIRST.unpack_from(self._map)
        self.size, self.whole = int(size), bool(whole)
        self.count = chunks_of(self.size)
        if (magic, chunk_bytes) != (MAGIC, CHUNK_BYTES) or len(self._map) < PAGE + self.count:
            raise BadBook(f"{path} is no book of a copy")
        if not self.whole and boot.decode() != boot_id():
            self._forget_what_is_not_durable()

    def _forget_what_is_not_durable(self) -> None:
        for chunk in self.present():
            self._map[PAGE + chunk] = ABSENT
        self._map.flush()  # before the page says that this was done
        self._sign()

    def _sign(self) -> None:
        FIRST.pack_into(self._map, 0, MAGIC, self.size, CHUNK_BYTES, boot_id().encode().ljust(36), self.whole)
        self._map.flush()

    def there(self, chunk: int) -> bool:
        """Whether the chunk can be read."""
        return self._map[PAGE + chunk] != ABSENT

    def missing(self) -> Sequence[int]:
        """The chunks that cannot be read yet."""
        return self._those(ABSENT)

    def present(self) -> Sequence[int]:
        """The chunks that can be read and may not be durable."""
        return self._those(PRESENT)

    def _those(self, state: int) -> list[int]:
        found, states = [], self._map[PAGE : PAGE + self.count]
        at = states.find(state)
        while at >= 0:
            found.append(at)
            at = states.find(state, at + 1)
        return found

    def digest(self, chunk: int) -> bytes:
        """What the chunk's SHA-256 must be."""
        at = PAGE + self.count + chunk * DIGEST_BYTES
        return self._map[at : at + DIGEST_BYTES]

    def span(self, chunk: int) -> tuple[int, int]:
        """Where the chunk begins, and how long it is."""
        at = chunk * CHUNK_BYTES
        return at, min(CHUNK_BYTES, self.size - at)

    def mark(self, chunk: int) -> None:
        """The chunk is written."""
        self._map[PAGE + chunk] = PRESENT

    def keep(self, chunks: Sequence[int]) -> None:
        """These chunks, which were present, are on the disk; all of them: the copy is whole from now on."""
        for chunk in chunks:
            self._map[PAGE + chunk] = DURABLE
        self._map.flush()
        if not self.whole and self._map[PAGE : PAGE + self.count].count(DURABLE) == self.count:
            self.whole = True
            self._sign()

    def file(self) -> mmap.mmap:
        """The book itself."""
        return self._map


def write(path: Path, content: bytes) -> None:
    """Leave a book at `path` that is whole and durable, or none; its directory is to be synced by the caller."""
    draft = path.with_name(path.name + ".new")
    with draft.open("wb", buffering=0) as file:
        os.fchmod(file.fileno(), 0o600)
        view = memoryview(content)
        while view:
            view = view[file.write(view) :]
        os.fsync(file.fileno())
    draft.replace(path)
