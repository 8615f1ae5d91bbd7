"""
A zip archive with exactly one file, read as a stream; whatever it says twice must agree.

This file is also run by itself, in the process that unpacks, where nothing of ours can be imported.
"""

import struct
import zlib

_LOCAL, _CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_END_64, _LOCATOR_64, _DESCRIPTOR = b"PK\x06\x06", b"PK\x06\x07", b"PK\x07\x08"
_ENCRYPTED, _SIZES_FOLLOW = 1 | 1 << 6 | 1 << 13, 1 << 3
_STORED, _DEFLATED = 0, 8
_IN_64 = 0xFFFFFFFF
BAD = 3  #: the exit status of the process that unpacks which says: standard error tells what is wrong with the data
_TAIL_BYTES = 256 << 10  #: of everything behind the data of one file


class BadZip(Exception):
    """What is wrong with an archive."""


class ZipDecompressor:
    """Behaves like the decompressors of the standard library; `eof` once the archive is whole and good."""

    def __init__(self) -> None:
        self.eof, self.needs_input, self.unused_data = False, True, b""
        self._waiting = b""
        self._header = self._tail = b""
        self._inflate = zlib.decompressobj(-15)
        self._left: int | None = None  #: bytes of a stored file that are still to come
        self._in_data = self._behind = False
        self._crc = self._size = self._packed = 0

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """The next bytes of the file, at most `max_length`; ask again with nothing while `needs_input` is false."""
        self._waiting += data
        if not self._in_data and not self._behind:
            self._begin()
        found = b""
        if self._in_data:
            found = self._stored(max_length) if self._left is not None else self._inflated(max_length)
            self._crc, self._size = zlib.crc32(found, self._crc), self._size + len(found)
        if self._behind:
            self._tail, self._waiting = self._tail + self._waiting, b""
            _require(len(self._tail) <= _TAIL_BYTES, "it holds more than one file")
        self.needs_input = not self._in_data or (not self._waiting and len(found) < max_length)
        return found

    def finish(self) -> None:
        """Nothing more comes: the archive is good, or `BadZip`."""
        _require(self._behind, "it is cut short")
        self._check_end(self._tail)
        self.eof = True

    def _begin(self) -> None:
        header, waiting = self._header, self._waiting
        if len(waiting) < 30:
            return
        mark, _, flags, method, _, _, _, packed, size, name, extra = struct.unpack_from("<4s5H3I2H", waiting)
        _require(mark == _LOCAL, "it is no archive")
        if len(waiting) < 30 + name + extra:
            return
        _require(not flags & _ENCRYPTED, "it is encrypted")
        _require(method in (_STORED, _DEFLATED), "its method of compression is not known")
        header = waiting[: 30 + name + extra]
        if method == _STORED:
            _require(not flags & _SIZES_FOLLOW, "it does not say where its file ends")
            if packed == _IN_64:
                size, packed = _sizes_64(header[30 + name :], size, packed, 0)[:2]
            _require(packed == size, "its sizes contradict each other")
            self._left = packed
        self._name = header[30 : 30 + name]
        _require(bool(self._name) and not self._name.endswith(b"/"), "it holds a folder")
        self._flags, self._method = flags, method
        self._header, self._waiting, self._in_data = header, waiting[len(header) :], True

    def _stored(self, most: int) -> bytes:
        assert self._left is not None
        found = self._waiting[: min(most, self._left)]
        self._waiting, self._left = self._waiting[len(found) :], self._left - len(found)
        self._packed += len(found)
        self._in_data, self._behind = self._left > 0, self._left == 0
        return found

    def _inflated(self, most: int) -> bytes:
        before = len(self._waiting)
        try:
            found = self._inflate.decompress(self._waiting, most)
        except zlib.error:
            raise BadZip("it is damaged") from None
        over = self._inflate.eof
        self._waiting = self._inflate.unused_data if over else self._inflate.unconsumed_tail
        self._packed += before - len(self._waiting)
        self._in_data, self._behind = not over, over
        return found

    def _check_end(self, tail: bytes) -> None:
        """What follows the data: perhaps its sizes, then one entry, then the end; nothing else."""
        starts = (12, 16, 20, 24) if self._flags & _SIZES_FOLLOW else (0,)
        at = next((n for n in starts if tail[n : n + 4] == _CENTRAL and self._describes(tail[:n])), None)
        _require(at is not None, "it holds more than one file, or is damaged")
        at = self._check_entry(tail, at or 0)
        if tail[at : at + 4] == _END_64:
            _require(len(tail) >= at + 56, "it is cut short")
            entries = struct.unpack_from("<QQ", tail, at + 24)
            length = struct.unpack_from("<Q", tail, at + 4)[0]
            _require(entries == (1, 1) and length < _TAIL_BYTES, "it does not hold exactly one file")
            at += 12 + length
            _require(tail[at : at + 4] == _LOCATOR_64, "it is damaged")
            at += 20
        _require(tail[at : at + 4] == _END and len(tail) >= at + 22, "it is cut short")
        disk, start, here, entries, _, _, comment = struct.unpack_from("<4H2IH", tail, at + 4)
        _require((disk, start) in ((0, 0), (0xFFFF, 0xFFFF)), "it is a part of an archive")
        _require(here == entries and entries in (1, 0xFFFF), "it does not hold exactly one file")
        _require(len(tail) == at + 22 + comment, "something follows it")

    def _describes(self, descriptor: bytes) -> bool:
        """Whether these are the checksum and sizes of the data, in one of their four layouts."""
        if not self._flags & _SIZES_FOLLOW:
            return True
        bare = descriptor[4:] if len(descriptor) in (16, 24) else descriptor
        if len(descriptor) in (16, 24) and not descriptor.startswith(_DESCRIPTOR):
            return False
        return struct.unpack("<3I" if len(bare) == 12 else "<IQQ", bare) == (self._crc, self._packed, self._size)

    def _check_entry(self, tail: bytes, at: int) -> int:
        _require(len(tail) >= at + 46, "it is cut short")
        flags, method, _, _, crc, packed, size, name, extra, comment, disk = struct.unpack_from("<4H3I4H", tail, at + 8)
        offset = struct.unpack_from("<I", tail, at + 42)[0]
        named = tail[at + 46 : at + 46 + name]
        if _IN_64 in (packed, size, offset):
            extras = tail[at + 46 + name : at + 46 + name + extra]
            size, packed, offset = _sizes_64(extras, size, packed, offset)
        same = (named, method, crc, size, packed, offset) == (
            self._name, self._method, self._crc, self._size, self._packed, 0,
        )  # fmt: skip
        _require(same and not flags & _ENCRYPTED and disk in (0, 0xFFFF), "it is damaged, or contradicts itself")
        return at + 46 + int(name) + int(extra) + int(comment)


def _sizes_64(extras: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """The sizes that are too large for their own fields."""
    at = 0
    while at + 4 <= len(extras):
        kind, length = struct.unpack_from("<HH", extras, at)
        if kind == 1:
            values = list(struct.unpack_from(f"<{min(length, 24) // 8}Q", extras[: at + 4 + length], at + 4))
            wanted = [size, packed, offset]
            for place, value in enumerate(wanted):
                if value == _IN_64 and values:
                    wanted[place] = values.pop(0)
            return wanted[0], wanted[1], wanted[2]
        at += 4 + length
    raise BadZip("its sizes are missing")


def _require(good: bool, otherwise: str) -> None:
    if not good:
        raise BadZip(otherwise)
