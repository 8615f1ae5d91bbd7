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
BITMAPS = 0x23852875
SNAPSHOT_BYTES = 1024  #: of one entry in the table of snapshots, rather more than less
LARGEST_TABLE_BYTES = 64 << 20
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
    tables: tuple[tuple[int, int], ...] = ()  #: offsets and lengths of what is read before the file is open


def parse(data: bytes) -> Header:
    """The header at the beginning of `data`, which is the first cluster or less."""
    try:
        return _parse(data)
    except (struct.error, UnicodeDecodeError) as error:
        raise BadHeader("its header is damaged") from error


def _parse(data: bytes) -> Header:
    magic, version, name_at, name_length, cluster_bits, size, encryption, *rest = FIXED.unpack_from(data)
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
    found = _extensions(data, header_length)
    backing_format = found[BACKING_FORMAT].decode() if BACKING_FORMAT in found else None
    return Header(size, backing, backing_format, _tables(rest, cluster_bits, found.get(BITMAPS, b"")))


def _tables(fields: list[int], cluster_bits: int, bitmaps: bytes) -> tuple[tuple[int, int], ...]:
    """The tables that an opener reads whole: of mappings, of reference counts, of snapshots, of bitmaps."""
    l1_entries, l1_at, counts_at, counts_clusters, snapshots, snapshots_at = fields
    tables = [(l1_at, l1_entries * 8), (counts_at, counts_clusters << min(cluster_bits, 21))]
    tables += [(snapshots_at, min(snapshots, 1024) * SNAPSHOT_BYTES)] if snapshots else []
    if len(bitmaps) >= 24:
        _, _, length, at = struct.unpack_from(">IIQQ", bitmaps)
        tables.append((at, length))
    return tuple((at, min(length, LARGEST_TABLE_BYTES)) for at, length in tables if at and length)


def _extensions(data: bytes, at: int) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while at + 8 <= len(data):
        kind, length = struct.unpack_from(">II", data, at)
        if kind == 0:
            break
        if kind in (BACKING_FORMAT, BITMAPS):
            found[kind] = data[at + 8 : at + 8 + length]
        at += 8 + (length + 7) // 8 * 8
    return found
