"""
The one pass over an upload: everything that is to be known of an image's bytes is learnt while they go by.

Whoever feeds does so from a worker thread, best with a mebibyte or more at a time.  `feed` comes back while the hashes
still run, each in its own lane, so that the write of the same bytes goes on beside them.  Memory stays flat.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from moorage.core.errors import Malformed, TooLarge
from moorage.images.content.digests import Digests
from moorage.images.content.formats import LARGEST_DISK_BYTES, Inspected, Inspection
from moorage.images.content.lanes import Lane
from moorage.images.signatures.signature import Aside

_GATHERED_BYTES = 1 << 20  #: smaller chunks are put together, since handing one to another thread has its price
CHECKSUM = "md5"
OS_HASH = "sha512"


@dataclass(frozen=True)
class Hashed:
    """Bytes as they can be recognised again."""

    size: int
    checksum: str
    os_hash_algo: str
    os_hash_value: str
    digests: bytes  #: see `images.content.digests`


@dataclass(frozen=True)
class Measured:
    """Bytes that came in whole."""

    size: int
    inspected: Inspected | None  #: what they are; None where nobody looked


@dataclass(frozen=True)
class Taken(Hashed):
    """An image that came in whole and is what it was said to be."""

    format: str
    virtual_size: int | None
    hashes: Mapping[str, str] = field(default_factory=dict)  #: more of them, by their algorithm, where they are signed


class Hashes:
    """The hashes of bytes that go by, each worked out in its own lane."""

    def __init__(self, os_hash_algo: str = OS_HASH) -> None:
        self._algorithm = os_hash_algo
        self._checksum = hashlib.new(CHECKSUM, usedforsecurity=False)
        self._os_hash = hashlib.new(os_hash_algo)
        self._digests = Digests()
        self._size = 0
        self._lanes = [Lane(work) for work in (self._checksum.update, self._os_hash.update, self._digests.feed)]
        self._gathered = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Take in the next bytes, which nobody may change any more."""
        self._size += len(chunk)
        if self._gathered or len(chunk) < _GATHERED_BYTES:
            self._gathered += chunk
            if len(self._gathered) >= _GATHERED_BYTES:
                self._flush()
        else:
            self._put(chunk)

    def finish(self) -> Hashed:
        """The hashes of all of it."""
        self._flush()
        for lane in self._lanes:
            lane.drain()
        return Hashed(
            size=self._size,
            checksum=self._checksum.hexdigest(),
            os_hash_algo=self._algorithm,
            os_hash_value=self._os_hash.hexdigest(),
            digests=self._digests.finish(),
        )

    def _flush(self) -> None:
        self._put(bytes(self._gathered))
        self._gathered = bytearray()

    def _put(self, chunk: bytes) -> None:
        for lane in self._lanes:
            lane.put(chunk)


class Measure:
    """
    What can be told without hashing: how many bytes there are, and whether they are what they are said to be. Without
    formats nobody looks.
    """

    def __init__(
        self,
        disk_format: str | None,
        container_format: str | None,
        *,
        size: int | None = None,
        size_limit: int | None = None,
        largest_disk_bytes: int = LARGEST_DISK_BYTES,
    ) -> None:
        self._announced, self._limit = size, size_limit
        looked_at = disk_format is not None and container_format is not None
        self._inspection = Inspection(disk_format, container_format, largest_disk_bytes) if looked_at else None  # type: ignore[arg-type]
        self._size = 0
        self._check_limit(size or 0)

    def feed(self, chunk: bytes) -> None:
        """
        Take in the next bytes. Raises `TooLarge`, `Malformed` (more than announced) or `ContentRefused`.
        """
        self._size += len(chunk)
        self._check_limit(self._size)
        if self._announced is not None and self._size > self._announced:
            raise Malformed(reason=f"More than the announced {self._announced} bytes were sent.")
        if self._inspection is not None:
            self._inspection.feed(chunk)

    def finish(self) -> Measured:
        """What it is; raises `Malformed` (fewer than announced) or `ContentRefused`."""
        if self._announced is not None and self._size != self._announced:
            raise Malformed(reason=f"{self._size} bytes were sent, not the announced {self._announced}.")
        return Measured(self._size, self._inspection.finish() if self._inspection is not None else None)

    def _check_limit(self, size: int) -> None:
        if self._limit is not None and size > self._limit:
            raise TooLarge(reason=f"The image is larger than the {self._limit} bytes that one may have.")


class Intake:
    """Learns of an upload: `feed` every byte in order, then `finish`; what either raises ends the upload."""

    def __init__(
        self,
        disk_format: str,
        container_format: str,
        *,
        size: int | None = None,
        size_limit: int | None = None,
        os_hash_algo: str = OS_HASH,
        largest_disk_bytes: int = LARGEST_DISK_BYTES,
        witness: Aside | None = None,
    ) -> None:
        self._measure = Measure(
            disk_format, container_format, size=size, size_limit=size_limit, largest_disk_bytes=largest_disk_bytes
        )
        self._hashes = Hashes(os_hash_algo)
        self._witness = witness
        self._lane = Lane(witness.update) if witness is not None else None

    def feed(self, chunk: bytes) -> None:
        """
        Take in the next bytes, which nobody may change any more. Raises `TooLarge`, `Malformed` (more than announced,
        a signature that nobody can verify) or `ContentRefused`.
        """
        self._measure.feed(chunk)
        if self._witness is not None and self._lane is not None:
            self._witness.prepare()
            self._lane.put(chunk)
        self._hashes.feed(chunk)

    def finish(self) -> Taken:
        """
        All that was learnt; raises `Malformed` (fewer than announced, a signature that is not that of these bytes) or
        `ContentRefused`.
        """
        inspected = self._measure.finish().inspected
        assert inspected is not None
        hashed, more = self._hashes.finish(), self._signed()
        return Taken(**vars(hashed), format=inspected.format, virtual_size=inspected.virtual_size, hashes=more)

    def _signed(self) -> dict[str, str]:
        if self._witness is None or self._lane is None:
            return {}
        self._lane.drain()
        return self._witness.finish()
