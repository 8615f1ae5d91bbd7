"""
VMDK: accepted only as one sparse file that refers to no other.

QEMU reads the embedded descriptor with its own, loose rules: the first `createType` in exact spelling wins, wherever it
stands; `parentFileNameHint` opens another file; so does an extent's name.  So each may stand there once, or not at all.
"""

import re

from moorage.images.content.seen import Seen, Unsound

SECTOR = 512
AT_END = (1 << 64) - 1  #: the grain directory's place when the footer tells it
_LAYOUT = "<4sIIQQQQIQQ"
_SAME_IN_FOOTER = 48  #: bytes of the header that a footer must repeat: all up to the directories' places
_TYPES = frozenset({"monolithicsparse", "streamoptimized"})
_EXTENT = re.compile(r'(rw|rdonly) \d+ sparse "[^"/\\:{}%]+"')
_L1_ENTRIES = 8 << 20
_DESCRIPTOR_SECTORS = 2047


def vmdk(seen: Seen) -> int:
    """The capacity of a sparse VMDK that stands alone."""
    seen.require(not seen.head.startswith(b"COWD"), "it is of an old kind that is not accepted")
    seen.require(seen.head.startswith(b"KDMV"), "it is a descriptor of other files")
    _, version, _, sectors, grain, at, length, entries, _, directory = seen.fields(_LAYOUT, 0)
    seen.require(version in (1, 2, 3), "its version is not supported")
    seen.require(sectors > 0, "its header gives no capacity, so that other files would be opened")
    seen.require(8 <= grain <= 65_536 and grain & (grain - 1) == 0, "its grain size is not sane")
    seen.require(0 < entries <= 512, "its table size is not sane")
    tables = -(-sectors // (grain * entries))
    seen.require(tables <= _L1_ENTRIES, "its grain directory is not sane")
    seen.require(at == 1 and 0 < length <= _DESCRIPTOR_SECTORS, "its descriptor is not where it belongs")
    seen.require(len(seen.head) >= (at + length) * SECTOR, "its descriptor is cut short")
    _check_descriptor(seen.head[SECTOR : SECTOR * (1 + length)])
    if directory != AT_END:
        seen.require_inside(directory * SECTOR, tables * 4, "grain directory")
    elif seen.size is not None:
        _check_footer(seen, tables)
    return int(sectors) * SECTOR


def _check_footer(seen: Seen, tables: int) -> None:
    footer = seen.tail[SECTOR : 2 * SECTOR]
    seen.require(footer[:_SAME_IN_FOOTER] == seen.head[:_SAME_IN_FOOTER], "its footer contradicts its header")
    directory = int.from_bytes(footer[56:64], "little")
    seen.require_inside(directory * SECTOR, tables * 4, "grain directory")


def _check_descriptor(data: bytes) -> None:
    try:
        text = data.split(b"\0", 1)[0].decode("ascii").lower()
    except UnicodeDecodeError:
        raise Unsound("its descriptor is not plain text") from None
    lines = [line.strip() for line in text.splitlines()]
    extents = [line for line in lines if line.startswith(("rw ", "rdonly ", "noaccess "))]
    kinds = [line.partition("=")[2].strip(' "') for line in lines if line.startswith("createtype")]
    parents = [line.partition("=")[2].strip(' "') for line in lines if line.startswith("parentcid")]
    Seen.require(text.count("createtype") == 1 and len(kinds) == 1, "its descriptor does not say one type")
    Seen.require(kinds[0] in _TYPES, "its type is neither monolithicSparse nor streamOptimized")
    Seen.require("parentfilenamehint" not in text, "it names a parent file")
    Seen.require(text.count("parentcid") == len(parents) and set(parents) <= {"ffffffff"}, "it has a parent")
    Seen.require(len(extents) == 1, "it does not have exactly one extent")
    Seen.require(_EXTENT.fullmatch(extents[0]) is not None, "its extent may be another file")


def is_descriptor(head: bytes) -> bool:
    """Whether `head` begins a text that QEMU would take for a VMDK, by the first line that is no comment."""
    if head[:21].lower() == b"# disk descriptorfile":
        return True
    for line in head[:2048].split(b"\n"):
        bare = line.strip(b" \r\t")
        if bare and not bare.startswith(b"#"):
            return re.match(rb"version=\d", bare, re.IGNORECASE) is not None
    return False
