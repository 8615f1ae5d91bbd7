"""A digest for every 4 MiB of an image, so that a part that is read alone, and late, can be verified alone."""

import hashlib

CHUNK_BYTES = 4 << 20
DIGEST_BYTES = 32


class Digests:
    """SHA-256 of each chunk of what passes, one after the other in `finish`; the last chunk may be short."""

    def __init__(self) -> None:
        self._done = bytearray()
        self._current = hashlib.sha256()
        self._missing = CHUNK_BYTES

    def feed(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            taken = view[: self._missing]
            self._current.update(taken)
            self._missing -= len(taken)
            view = view[len(taken) :]
            if not self._missing:
                self._close_chunk()

    def finish(self) -> bytes:
        if self._missing < CHUNK_BYTES:
            self._close_chunk()
        return bytes(self._done)

    def _close_chunk(self) -> None:
        self._done += self._current.digest()
        self._current = hashlib.sha256()
        self._missing = CHUNK_BYTES


def matches(digests: bytes, index: int, chunk: bytes) -> bool:
    """Whether `chunk` is what chunk number `index` of the image was when it came in."""
    known = digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES]
    return hashlib.sha256(chunk).digest() == known
