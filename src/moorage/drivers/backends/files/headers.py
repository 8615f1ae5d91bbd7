"""
What a qcow2 file says of itself in its header, read by ourselves.

Nothing is handed to a C parser before its header has been compared with the row that names it; an external data file or
encryption is refused whatever the row says.
"""

import struct
from dataclasses import dataclass

MAGIC = b"QFI\xfb"
FIXED = struct.Struct(">4sIQIIQIIQQIIQ")
FEATURES = struct.Struct(">QQQII")
BACKING_FORMAT = 0xE2792ACA
KNOWN_INCOMPATIBLE = 0b11001  #: dirty, compression type, subclusters; not: corrupt, external data
READ_BYTES = 65536


class BadHeader(Exception):
    """The file is not a qcow2 file that we use."""


@dataclass(frozen=True)
class Header:
    """A qcow2 file's own words."""

    size: int
    backing: str | None
    backing_format: str | None


def parse(data: bytes) -> Header:
    """The header at the beginning of `data`, which is the first cluster or less."""
    try:
        return _parse(data)
    except (struct.error, UnicodeDecodeError) as error:
        raise BadHeader("its header is damaged") from error


def _parse(data: bytes) -> Header:
    magic, version, name_at, name_length, _, size, encryption, *_ = FIXED.unpack_from(data)
    if magic != MAGIC or version not in (2, 3):
        raise BadHeader("it is not a qcow2 file")
    if encryption:
        raise BadHeader("it is encrypted")
    header_length = FIXED.size
    if version == 3:
        incompatible, _, _, _, header_length = FEATURES.unpack_from(data, FIXED.size)
        if incompatible & ~KNOWN_INCOMPATIBLE:
            raise BadHeader("it is corrupt or has an external data file")
    if name_length > 1023 or (name_at and name_at + name_length > len(data)):
        raise BadHeader("its backing name is out of bounds")
    backing = data[name_at : name_at + name_length].decode() if name_at else None
    return Header(size, backing, _extensions(data, header_length).get(BACKING_FORMAT))


def _extensions(data: bytes, at: int) -> dict[int, str]:
    found: dict[int, str] = {}
    while at + 8 <= len(data):
        kind, length = struct.unpack_from(">II", data, at)
        if kind == 0:
            break
        if kind == BACKING_FORMAT:
            found[kind] = data[at + 8 : at + 8 + length].decode()
        at += 8 + (length + 7) // 8 * 8
    return found
