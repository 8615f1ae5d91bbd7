"""
Our own look at disk headers, beside the library's: what QEMU would believe, allocate or open.

A check returns the bytes of the disk inside or raises `Unsound`.  It refuses whatever points out of the file, whatever
makes a reader allocate more than the file can justify, and whatever is cut short.
"""

from collections.abc import Callable, Mapping
from uuid import UUID

from moorage.images.content.seen import Seen
from moorage.images.content.vmdk import is_descriptor, vmdk

_MAGICS = (
    # format   at       bytes
    ("qcow2",  0,       b"QFI\xfb"),
    ("qed",    0,       b"QED\0"),
    ("vhd",    0,       b"conectix"),
    ("vhdx",   0,       b"vhdxfile"),
    ("vmdk",   0,       b"KDMV"),
    ("vmdk",   0,       b"COWD"),
    ("luks",   0,       b"LUKS\xba\xbe"),
    ("vdi",    64,      b"\x7f\x10\xda\xbe"),
    ("iso",    0x8001,  b"CD001"),
    ("iso",    0x8001,  b"NSR02"),
    ("iso",    0x8001,  b"NSR03"),
)  # fmt: skip


def recognise(head: bytes) -> frozenset[str]:
    """Every format whose mark the bytes bear, even cut short; partition tables are left to the library."""
    found = {name for name, at, magic in _MAGICS if head.startswith(magic, at)}
    return frozenset(found | {"vmdk"} if is_descriptor(head) else found)


class _Qcow2:
    """Bounds of a qcow2 header; those in bytes are QEMU's own."""

    L1_BYTES = 32 << 20
    REFCOUNT_TABLE_BYTES = 8 << 20
    SNAPSHOTS = 1024
    EXTENSIONS = 64
    SNAPSHOT_HEADER_BYTES = 40
    KNOWN_FEATURES = 0b1111  #: dirty, corrupt, external data file, compression type


_FORBIDDEN_EXTENSIONS = {0xE2792ACA: "it names a backing format", 0x44415441: "it names an external data file",
                         0x0537BE77: "it is encrypted"}  # fmt: skip


def qcow2(seen: Seen) -> int:
    """The size of a qcow2 that stands alone and whose tables fit its file."""
    _, version, backing, _, bits, size, crypt = seen.fields(">4sIQIIQI", 0)
    seen.require(version in (2, 3), "its version is not 2 or 3")
    seen.require(backing == 0, "it names a backing file")
    seen.require(crypt == 0, "it is encrypted")
    seen.require(9 <= bits <= 21, "its cluster size is not sane")
    header_bytes = _check_version_3(seen) if version == 3 else 72
    _check_extensions(seen, header_bytes, 1 << bits)
    _check_tables(seen, bits, size)
    return int(size)


def _check_version_3(seen: Seen) -> int:
    features, _, _, refcount_order, length = seen.fields(">QQQII", 72)
    seen.require(not features & 0b0100, "it names an external data file")
    seen.require(not features & ~_Qcow2.KNOWN_FEATURES, "it uses features that nobody here knows")
    seen.require(not features & 0b0010, "it is marked as corrupt")
    seen.require(refcount_order <= 6, "its refcounts are not sane")
    seen.require(104 <= length <= 4096 and length % 8 == 0, "its header length is not sane")
    compression = seen.fields("B", 104)[0] if length > 104 else 0
    seen.require(compression <= 1 and (compression != 0) == bool(features & 0b1000), "its compression is not known")
    return int(length)


def _check_tables(seen: Seen, bits: int, size: int) -> None:
    cluster = 1 << bits
    l1_entries, l1_at, refcounts_at, refcount_clusters, snapshots, snapshots_at = seen.fields(">IQQIIQ", 36)
    needed = -(-size // (cluster * (cluster // 8)))
    seen.require(l1_entries * 8 <= _Qcow2.L1_BYTES, "its L1 table is too large")
    seen.require(l1_entries >= needed, "its L1 table is too small for its size")
    seen.require(0 < refcount_clusters * cluster <= _Qcow2.REFCOUNT_TABLE_BYTES, "its refcount table is not sane")
    seen.require(snapshots <= _Qcow2.SNAPSHOTS, "it has too many internal snapshots")
    seen.require((l1_at | refcounts_at) % cluster == 0, "its tables are not aligned")
    seen.require(snapshots == 0 or snapshots_at % cluster == 0, "its tables are not aligned")
    seen.require_inside(l1_at, l1_entries * 8, "L1 table")
    seen.require_inside(refcounts_at, refcount_clusters * cluster, "refcount table")
    seen.require_inside(snapshots_at, snapshots * _Qcow2.SNAPSHOT_HEADER_BYTES, "snapshot table")


def _check_extensions(seen: Seen, at: int, cluster: int) -> None:
    for _ in range(_Qcow2.EXTENSIONS):
        if at + 8 > min(cluster, len(seen.head)):
            return
        kind, length = seen.fields(">II", at)
        if kind == 0:
            return
        seen.require(kind not in _FORBIDDEN_EXTENSIONS, _FORBIDDEN_EXTENSIONS.get(kind, ""))
        seen.require(at + 8 + length <= cluster, "its header extensions are not sane")
        at += 8 + -(-length // 8) * 8
    seen.require(False, "its header extensions are not sane")


def vdi(seen: Seen) -> int:
    """The size of a VDI that has no parent."""
    version, _, kind = seen.fields("<III", 68)
    map_at, _ = seen.fields("<II", 0x154)
    sector, _, size, block, _, blocks = seen.fields("<IIQIII", 0x168)
    link, parent = seen.fields("<16s16s", 0x1A8)
    seen.require(version == 0x00010001, "its version is not supported")
    seen.require(kind in (1, 2), "it is a difference to another file")
    seen.require(link == parent == bytes(16), "it has a parent")
    seen.require(sector == 512 and block == 1 << 20, "its block size is not supported")
    seen.require(size <= blocks * block, "its block map is too small for its size")
    seen.require_inside(map_at, blocks * 4, "block map")
    return int(size)


def vhd(seen: Seen) -> int:
    """The current size of a dynamic VHD."""
    (at,) = seen.fields(">Q", 16)
    (size,) = seen.fields(">Q", 48)
    (kind,) = seen.fields(">I", 60)
    seen.require(kind != 4, "it is a difference to another file")
    seen.require(kind == 3, "it is not a dynamic disk")
    magic, _, table_at, _, blocks, block = seen.fields(">8sQQIII", min(at, len(seen.head)))
    (parent,) = seen.fields("16s", at + 40)
    seen.require(magic == b"cxsparse", "its second header is missing")
    seen.require(parent == bytes(16), "it has a parent")
    seen.require(512 <= block <= 1 << 28 and block & (block - 1) == 0, "its block size is not sane")
    seen.require(size <= blocks * block, "its block table is too small for its size")
    seen.require_inside(table_at, blocks * 4, "block table")
    return int(size)


_PARENT_LOCATOR = UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c").bytes_le
_HEADERS_AT = (64 << 10, 128 << 10)
_REGIONS_AT = 192 << 10


def vhdx(seen: Seen) -> int:
    """The size of a VHDX that has no parent, as its metadata tell."""
    _, _, count = seen.fields("<4sII", _REGIONS_AT)
    seen.require(count <= 2047, "its region table is not sane")
    for entry in range(count):
        at, length = seen.fields("<QI", _REGIONS_AT + 16 + entry * 32 + 16)
        seen.require_inside(at, length, "region")
    for header in _HEADERS_AT:
        log_bytes, log_at = seen.fields("<IQ", header + 68)
        if seen.head.startswith(b"head", header):
            seen.require_inside(log_at, log_bytes, "log")
    seen.require(_PARENT_LOCATOR not in seen.parts.get("metadata", b""), "it has a parent")
    if seen.size is not None:
        seen.require(seen.virtual_size > 0, "its metadata are malformed or cut short")
    return seen.virtual_size


def iso(seen: Seen) -> int:
    """Blocks times block size of the primary descriptor; of anything else, the bytes there are."""
    kind = seen.fields("B", 0x8000)[0]
    blocks, block = seen.fields("<I44xH", 0x8000 + 80)
    return int(blocks) * int(block) if kind == 1 else 0


def luks(seen: Seen) -> int:
    """What follows the header of a version 1 container."""
    (version,) = seen.fields(">H", 6)
    (payload_sectors,) = seen.fields(">I", 104)
    seen.require(version == 1, "its version is not supported")
    seen.require_inside(payload_sectors * 512, 0, "payload")
    return 0 if seen.size is None else seen.size - int(payload_sectors) * 512


CHECKS: Mapping[str, Callable[[Seen], int]] = {
    "qcow2": qcow2, "vmdk": vmdk, "vdi": vdi, "vhd": vhd, "vhdx": vhdx, "iso": iso, "luks": luks,
}  # fmt: skip
