"""Blocks that say what they are: of which volume, where, and by which write. Nothing else looks like one."""

import hashlib
import struct
from collections.abc import Iterator

BLOCK = 4096
MAGIC = b"moorage!"
NEVER = 0  #: the number of no write: the block is zeros
_HEAD = struct.Struct("<8s8sQQ")


class NotABlock(Exception):
    """What was read there was never written there."""


def block(mark: str, index: int, number: int) -> bytes:
    """What write `number` puts at block `index` of what is marked `mark`."""
    return _HEAD.pack(MAGIC, _tag(mark), index, number) * (BLOCK // _HEAD.size)


def _tag(mark: str) -> bytes:
    return hashlib.sha256(mark.encode()).digest()[:8]


def number(mark: str, index: int, data: bytes) -> int:
    """The write that put `data` there."""
    if not data.strip(b"\0"):
        return NEVER
    magic, of, at, written = _HEAD.unpack_from(data)
    whole = data == data[: _HEAD.size] * (BLOCK // _HEAD.size)
    if magic != MAGIC or not whole or at != index or of != _tag(mark):
        raise NotABlock(data[:32].hex() + ("" if whole else " (torn)"))
    return int(written)


def parts(data: bytes) -> list[bytes]:
    """The blocks of what was read."""
    return [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]


def writes_in(data: bytes, mark: str, first: int) -> Iterator[int | NotABlock]:
    """Of each block that was read, from block `first` on, the write that put it there, or why it is none."""
    for index, part in enumerate(parts(data), first):
        try:
            yield number(mark, index, part)
        except NotABlock as problem:
            yield problem
