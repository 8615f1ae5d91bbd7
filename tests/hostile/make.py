"""
Build images that must be refused, and good ones of every format, into a folder: `python tests/hostile/make.py FOLDER`.

Each hostile image is one that made some OpenStack release, some QEMU or some checker read what it should not, or
allocate what it could not; `HOSTILE` says for each how it is declared and what the refusal must say.
"""

import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
CLUSTER = 64 << 10


@dataclass(frozen=True)
class Hostile:
    """One image that must be refused."""

    name: str
    declared: str
    says: str  #: a regular expression that the refusal must match
    data: bytes


# ---- qcow2


def qcow2(
    *, version=3, backing=0, bits=16, size=MIB, crypt=0, l1_entries=1, l1_at=3 * CLUSTER, refcount_clusters=1,
    snapshots=0, snapshots_at=0, features=0, refcount_order=4, header_bytes=104, extensions=b"", file_bytes=4 * CLUSTER,
) -> bytes:  # fmt: skip
    """A qcow2 of four clusters, every header field open to abuse."""
    header = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", version, backing, 11 if backing else 0, bits, size, crypt, l1_entries, l1_at,
        CLUSTER, refcount_clusters, snapshots, snapshots_at,
    )  # fmt: skip
    if version == 3:
        header += struct.pack(">QQQII", features, 0, 0, refcount_order, header_bytes)
    data = bytearray(file_bytes)
    body = header + extensions + bytes(8) + (b"/etc/shadow" if backing else b"")
    data[: len(body)] = body
    return bytes(data[:file_bytes])


def extension(kind: int, data: bytes) -> bytes:
    return struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8)


# ---- vmdk

GOOD_LINES = (
    "# Disk DescriptorFile", "version=1", "CID=12345678", "parentCID=ffffffff", 'createType="monolithicSparse"', "",
    'RW 2048 SPARSE "disk.vmdk"', "", 'ddb.adapterType = "ide"',
)  # fmt: skip


def changed(old: str, new: str) -> str:
    return "\n".join(GOOD_LINES).replace(old, new) + "\n"


def vmdk(text: str = changed("", ""), *, sectors=2048, grain=128, at=1, length=20, entries=512, directory=26) -> bytes:
    """A sparse VMDK with this descriptor."""
    header = struct.pack("<4sIIQQQQIQQQ", b"KDMV", 1, 3, sectors, grain, at, length, entries, 21, directory, 128)
    data = bytearray(128 * 512)
    data[: len(header)] = header
    data[512 : 512 + len(text)] = text.encode()
    return bytes(data)


def stream_vmdk(*, footer_sectors=2048) -> bytes:
    """A stream-optimised VMDK whose footer, which readers prefer, may give another capacity."""
    start = vmdk(changed("monolithicSparse", "streamOptimized"), directory=(1 << 64) - 1)
    footer = struct.pack("<4sIIQQQQIQQQ", b"KDMV", 1, 3, footer_sectors, 128, 1, 20, 512, 21, 26, 128).ljust(512, b"\0")
    return start + struct.pack("<QII496x", 1, 0, 3) + footer + bytes(512)


# ---- others


def iso(blocks: int = 64, boot: bytes = b"") -> bytes:
    """The smallest ISO 9660 image: a primary descriptor, its terminator and an empty root folder."""

    def both(value: int, order: str) -> bytes:
        return struct.pack("<" + order, value) + struct.pack(">" + order, value)

    root = (
        struct.pack("BB", 34, 0) + both(18, "I") + both(2048, "I") + bytes(7) + b"\x02\0\0" + both(1, "H") + b"\x01\0"
    )
    primary = bytearray(2048)
    primary[:7] = b"\x01CD001\x01"
    primary[8:72] = b" " * 32 + b"MOORAGE".ljust(32)
    primary[80:88] = both(blocks, "I")
    primary[120:132] = both(1, "H") + both(1, "H") + both(2048, "H")
    primary[156:190] = root
    data = bytearray(blocks * 2048)
    data[: len(boot)] = boot
    data[16 * 2048 : 17 * 2048] = primary
    data[17 * 2048 : 17 * 2048 + 7] = b"\xffCD001\x01"
    return bytes(data)


def mbr(*entries: tuple[int, bytes, int, int]) -> bytes:
    """A boot sector with partitions given as (flag, start CHS, type, first sector), and a mebibyte behind it."""
    table = b"".join(
        struct.pack("<B3sB3sII", flag, chs, kind, b"\xff\xff\xff", first, 2047) for flag, chs, kind, first in entries
    )
    return bytes(446) + table.ljust(64, b"\0") + b"\x55\xaa" + bytes(MIB - 512)


PROTECTIVE = (0, b"\0\2\0", 0xEE, 1)


def vdi(*, kind=1, blocks=1, size=MIB, parent=bytes(16)) -> bytes:
    data = bytearray(2 * MIB)
    struct.pack_into("<IIII", data, 0x40, 0xBEDA107F, 0x00010001, 0x190, kind)
    struct.pack_into("<II", data, 0x154, 512, MIB)
    struct.pack_into("<IIQIIII", data, 0x168, 512, 0, size, MIB, 0, blocks, 0)
    data[0x1B8:0x1C8] = parent
    return bytes(data)


def vhd(*, kind=3, blocks=1, size=MIB, header_at=512, parent=bytes(16)) -> bytes:
    data = bytearray(8192)
    struct.pack_into(">8sIIQ", data, 0, b"conectix", 2, 0x10000, header_at)
    struct.pack_into(">QQIII", data, 40, size, size, 0, kind, 0)
    struct.pack_into(">8sQQIII", data, 512, b"cxsparse", (1 << 64) - 1, 1536, 0x10000, blocks, 2 * MIB)
    data[552:568] = parent
    return bytes(data)


def luks(version: int = 1) -> bytes:
    return struct.pack(">6sH", b"LUKS\xba\xbe", version).ljust(MIB, b"\0")


def vhdx(metadata: bytes = b"", *, region_bytes=MIB) -> bytes:
    """A VHDX of two mebibytes whose metadata, in the second one, are these."""
    data = bytearray(2 * MIB)
    data[:8] = b"vhdxfile"
    guid = bytes.fromhex("06a27c8b90479a4bb8fe575f050f886e")
    struct.pack_into("<4sIII16sQII", data, 192 << 10, b"regi", 0, 1, 0, guid, MIB, region_bytes, 1)
    data[MIB : MIB + len(metadata)] = metadata
    return bytes(data)


def vhdx_metadata(*guids: str) -> bytes:
    """A metadata table in which every item is eight bytes that say one gibibyte."""
    entries = b"".join(bytes.fromhex(guid) + struct.pack("<III4x", CLUSTER, 8, 0) for guid in guids)
    return (struct.pack("<8sHH20x", b"metadata", 0, len(guids)) + entries).ljust(CLUSTER, b"\0") + struct.pack(
        "<Q", 1 << 30
    )


SIZE_ITEM = "2442a52f1bcd7648b2115dbed83bf4b8"
PARENT_ITEM = "2d5fd3a80bb34d45abf7d3d84834ab0c"

STREAM = changed("monolithicSparse", "streamOptimized")
FLAT = changed("monolithicSparse", "monolithicFlat").replace('SPARSE "disk.vmdk"', 'FLAT "/etc/shadow" 0')
HOSTILE = (
    # what                       declared  must say                         the image
    Hostile("qcow2-backing",       "qcow2", "backing file",                 qcow2(backing=112)),
    Hostile("qcow2-backing-v2",    "qcow2", "backing file",                 qcow2(version=2, backing=80)),
    Hostile("qcow2-data-file",     "qcow2", "data file",                    qcow2(features=4)),
    Hostile("qcow2-data-name",     "qcow2", "data file",
            qcow2(extensions=extension(0x44415441, b"/etc/shadow"))),
    Hostile("qcow2-backing-format", "qcow2", "backing format",
            qcow2(extensions=extension(0xE2792ACA, b"raw"))),
    Hostile("qcow2-luks",          "qcow2", "encrypted",                    qcow2(crypt=2)),
    Hostile("qcow2-aes",           "qcow2", "encrypted",                    qcow2(crypt=1)),
    Hostile("qcow2-luks-header",   "qcow2", "encrypted",
            qcow2(extensions=extension(0x0537BE77, bytes(16)))),
    Hostile("qcow2-extended-l2",   "qcow2", "features",                     qcow2(features=16)),
    Hostile("qcow2-feature-63",    "qcow2", "features",                     qcow2(features=1 << 63)),
    Hostile("qcow2-corrupt",       "qcow2", "corrupt",                      qcow2(features=2)),
    Hostile("qcow2-compression",   "qcow2", "compression",                  qcow2(features=8)),
    Hostile("qcow2-version-1",     "qcow2", "version",                      qcow2(version=1)),
    Hostile("qcow2-version-4",     "qcow2", "version",                      qcow2(version=4)),
    Hostile("qcow2-l1-huge",       "qcow2", "L1 table",                     qcow2(l1_entries=(1 << 32) - 1)),
    Hostile("qcow2-l1-elsewhere",  "qcow2", "L1 table lies outside",        qcow2(l1_at=1 << 40)),
    Hostile("qcow2-l1-wrapping",   "qcow2", "L1 table lies outside",        qcow2(l1_at=(1 << 64) - CLUSTER)),
    Hostile("qcow2-l1-short",      "qcow2", "too small",                    qcow2(size=1 << 40)),
    Hostile("qcow2-exabytes",      "qcow2", "too small",                    qcow2(size=(1 << 64) - 1)),
    Hostile("qcow2-refcounts",     "qcow2", "refcount",                     qcow2(refcount_clusters=(1 << 32) - 1)),
    Hostile("qcow2-refcount-bits", "qcow2", "refcount",                     qcow2(refcount_order=7)),
    Hostile("qcow2-snapshots",     "qcow2", "snapshots",                    qcow2(snapshots=65_536)),
    Hostile("qcow2-snapshots-out", "qcow2", "snapshot table",               qcow2(snapshots=3, snapshots_at=1 << 30)),
    Hostile("qcow2-clusters",      "qcow2", "cluster size",                 qcow2(bits=63)),
    Hostile("qcow2-header",        "qcow2", "header length",                qcow2(header_bytes=(1 << 32) - 8)),
    Hostile("qcow2-extensions",    "qcow2", "extensions",
            qcow2(extensions=struct.pack(">II", 1, (1 << 32) - 1))),
    Hostile("qcow2-cut-off",       "qcow2", "cut short",                    qcow2(file_bytes=40)),
    Hostile("qcow2-cut-tables",    "qcow2", "outside the file",             qcow2(file_bytes=CLUSTER)),
    Hostile("qcow2-as-raw",        "raw",   "declared raw .* qcow2",        qcow2()),
    Hostile("qcow2-backing-as-raw", "raw",  "declared raw .* qcow2",        qcow2(backing=112)),
    Hostile("qcow2-cut-as-raw",    "raw",   "declared raw .* qcow2",        qcow2(file_bytes=40)),
    Hostile("qcow2-as-ami",        "ami",   "declared ami .* qcow2",        qcow2()),
    Hostile("raw-as-qcow2",        "qcow2", "declared qcow2 .* raw",        bytes(MIB)),
    Hostile("nothing-as-qcow2",    "qcow2", "declared qcow2 .* raw",        b""),
    Hostile("vmdk-flat",           "vmdk",  "type",                         vmdk(FLAT)),
    Hostile("vmdk-flat-text",      "vmdk",  "descriptor of other files",    FLAT.encode()),
    Hostile("vmdk-flat-text-raw",  "raw",   "declared raw .* vmdk",         FLAT.encode()),
    Hostile("vmdk-text-uncased",   "raw",   "declared raw .* vmdk",
            b"# \xff\nversion=1\ncreatetype=x\n" + bytes(600)),
    Hostile("vmdk-old",            "vmdk",  "old kind",                     b"COWD" + bytes(MIB)),
    Hostile("vmdk-no-capacity",    "vmdk",  "no capacity",                  vmdk(sectors=0)),
    Hostile("vmdk-two-types",      "vmdk",  "one type",
            vmdk(changed('createType="mono', 'CREATETYPE="monolithicSparse"\ncreateType="mono'))),
    Hostile("vmdk-type-in-comment", "vmdk", "one type",
            vmdk(changed("# Disk", '# createType="streamOptimized"\n# Disk'))),
    Hostile("vmdk-parent",         "vmdk",  "parent",
            vmdk(changed("ffffffff", '12121212\nparentFileNameHint="/etc/shadow"'))),
    Hostile("vmdk-parent-id",      "vmdk",  "parent",                       vmdk(changed("ffffffff", "12121212"))),
    Hostile("vmdk-extent-path",    "vmdk",  "another file",                 vmdk(changed("disk.vmdk", "../disk.vmdk"))),
    Hostile("vmdk-extent-json",    "vmdk",  "another file",
            vmdk(changed("disk.vmdk", r"json:{'driver':'file','filename':'\u002fetc\u002fshadow'}"))),
    Hostile("vmdk-two-extents",    "vmdk",  "one extent",
            vmdk(changed("\nddb", '\nRW 1 SPARSE "b.vmdk"\nddb'))),
    Hostile("vmdk-no-extent",      "vmdk",  "one extent",
            vmdk(changed('RW 2048 SPARSE "disk.vmdk"', ""))),
    Hostile("vmdk-odd-line",       "vmdk",  "descriptor",
            vmdk(changed("CID=1", "what is this\nCID=1"))),
    Hostile("vmdk-far-descriptor", "vmdk",  "descriptor",                   vmdk(at=1 << 40)),
    Hostile("vmdk-long-descriptor", "vmdk", "descriptor",                   vmdk(length=1 << 40)),
    Hostile("vmdk-grain-table",    "vmdk",  "table size",                   vmdk(entries=(1 << 32) - 1)),
    Hostile("vmdk-grain",          "vmdk",  "grain size",                   vmdk(grain=0)),
    Hostile("vmdk-huge",           "vmdk",  "grain directory",              vmdk(sectors=1 << 60)),
    Hostile("vmdk-directory",      "vmdk",  "grain directory lies outside", vmdk(directory=1 << 50)),
    Hostile("vmdk-footer-differs", "vmdk",  "footer",                       stream_vmdk(footer_sectors=0)),
    Hostile("vmdk-footer-missing", "vmdk",  "footer",                       vmdk(STREAM, directory=(1 << 64) - 1)),
    Hostile("vmdk-cut-off",        "vmdk",  "cut short",                    vmdk()[:1000]),
    Hostile("vdi-difference",      "vdi",   "difference",                   vdi(kind=4)),
    Hostile("vdi-parent",          "vdi",   "parent",                       vdi(parent=b"p" * 16)),
    Hostile("vdi-map",             "vdi",   "block map",                    vdi(blocks=0x3FFFFFFF)),
    Hostile("vdi-size",            "vdi",   "block map",                    vdi(size=1 << 62)),
    Hostile("vdi-cut-off",         "vdi",   "cut short",                    vdi()[:100]),
    Hostile("vhd-difference",      "vhd",   "difference",                   vhd(kind=4)),
    Hostile("vhd-parent",          "vhd",   "parent",                       vhd(parent=b"p" * 16)),
    Hostile("vhd-fixed-in-front",  "vhd",   "dynamic",                      vhd(kind=2)),
    Hostile("vhd-table",           "vhd",   "block table",                  vhd(blocks=(1 << 32) - 1)),
    Hostile("vhd-far-header",      "vhd",   "cut short",                    vhd(header_at=1 << 63)),
    Hostile("vhd-cut-off",         "vhd",   "cut short",                    vhd()[:30]),
    Hostile("vhdx-parent",         "vhdx",  "parent",
            vhdx(vhdx_metadata(PARENT_ITEM, SIZE_ITEM))),
    Hostile("vhdx-no-size",        "vhdx",  "metadata",                     vhdx(vhdx_metadata())),
    Hostile("vhdx-no-metadata",    "vhdx",  "metadata",                     vhdx()),
    Hostile("vhdx-region",         "vhdx",  "region lies outside",
            vhdx(vhdx_metadata(SIZE_ITEM), region_bytes=1 << 31)),
    Hostile("vhdx-cut-off",        "vhdx",  "cut short",                    vhdx()[:1000]),
    Hostile("qed",                 "raw",   "qed",                          b"QED\0" + bytes(MIB)),
    Hostile("qed-as-qcow2",        "qcow2", "qed",                          b"QED\0" + bytes(MIB)),
    Hostile("iso-and-qcow2",       "iso",   "several things",               iso(boot=qcow2()[:512])),
    Hostile("iso-and-qcow2-raw",   "raw",   "several things",               iso(boot=qcow2()[:512])),
    Hostile("qcow2-and-iso",       "qcow2", "several things",               iso(boot=qcow2()[:512])),
    Hostile("iso-and-vmdk",        "iso",   "several things",               iso(boot=vmdk()[:16 << 10])),
    Hostile("qcow2-and-mbr",       "qcow2", "several things",
            qcow2()[:510] + b"\x55\xaa" + qcow2()[512:]),
    Hostile("iso-hybrid-as-raw",   "raw",   "several things",               iso(boot=mbr(PROTECTIVE)[:512])),
    Hostile("iso-as-qcow2",        "qcow2", "declared qcow2 .* iso",        iso()),
    Hostile("iso-cut-off",         "iso",   "cut short",                    iso()[:0x8010]),
    Hostile("gpt-extra-partition", "raw",   "partition table",              mbr(PROTECTIVE, (0, b"\0\2\0", 0x83, 64))),
    Hostile("gpt-late-start",      "raw",   "partition table",              mbr((0, b"\0\2\0", 0xEE, 2))),
    Hostile("gpt-wrong-start",     "raw",   "partition table",              mbr((0, b"\1\1\1", 0xEE, 1))),
    Hostile("gpt-boot-flag",       "raw",   "partition table",              mbr((0x42, b"\0\2\0", 0xEE, 1))),
    Hostile("mbr-empty",           "raw",   "partition table",              mbr()),
    Hostile("gpt-as-qcow2",        "qcow2", "declared qcow2 .* gpt",        mbr(PROTECTIVE)),
    Hostile("luks-2",              "luks",  "version",                      luks(2)),
)  # fmt: skip


@dataclass(frozen=True)
class Good:
    """One image that must be accepted, and the size of the disk in it."""

    name: str
    declared: str
    recorded: str
    build: Callable[[Path], None]


def by_qemu(kind: str, *options: str) -> Callable[[Path], None]:
    """How QEMU makes an image of `DISK` as `kind`."""

    def build(path: Path) -> None:
        source = path.with_suffix(".source")
        source.write_bytes(DISK)
        chosen = [word for option in options for word in ("-o", option)]
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", kind, *chosen, str(source), str(path)], check=True)
        source.unlink()

    return build


def by_writing(data: bytes) -> Callable[[Path], None]:
    def build(path: Path) -> None:
        path.write_bytes(data)

    return build


DISK = b"the first sector".ljust(5 * MIB, b"\0") + bytes(range(256)) * 4096 + bytes(2 * MIB)
TEXT = (b"plain text, and for long\n" * 40 + "then über\n".encode()).ljust(len(DISK), b"\n")
GOOD = (
    # what                     declared recorded  how it is made
    Good("raw",                 "raw",   "raw",   by_writing(DISK)),
    Good("qcow2",               "qcow2", "qcow2", by_qemu("qcow2")),
    Good("qcow2-v2",            "qcow2", "qcow2", by_qemu("qcow2", "compat=0.10")),
    Good("qcow2-zstd",          "qcow2", "qcow2", by_qemu("qcow2", "compression_type=zstd")),
    Good("qcow2-small-clusters", "qcow2", "qcow2", by_qemu("qcow2", "cluster_size=512")),
    Good("qcow2-large-clusters", "qcow2", "qcow2", by_qemu("qcow2", "cluster_size=2M")),
    Good("qcow2-preallocated",  "qcow2", "qcow2", by_qemu("qcow2", "preallocation=metadata")),
    Good("vmdk-sparse",         "vmdk",  "vmdk",  by_qemu("vmdk", "subformat=monolithicSparse")),
    Good("vmdk-stream",         "vmdk",  "vmdk",  by_qemu("vmdk", "subformat=streamOptimized")),
    Good("vdi",                 "vdi",   "vdi",   by_qemu("vdi")),
    Good("vdi-static",          "vdi",   "vdi",   by_qemu("vdi", "static=on")),
    Good("vhdx",                "vhdx",  "vhdx",  by_qemu("vhdx")),
    Good("vhdx-fixed",          "vhdx",  "vhdx",  by_qemu("vhdx", "subformat=fixed")),
    Good("vhd",                 "vhd",   "vhd",   by_qemu("vpc", "subformat=dynamic", "force_size=on")),
    Good("gpt-as-raw",          "raw",   "raw",   by_writing(mbr(PROTECTIVE) + DISK[MIB:])),
    Good("mbr-as-raw",          "raw",   "raw",   by_writing(mbr((0x80, b"\1\1\1", 0x83, 64)) + DISK[MIB:])),
    Good("iso",                 "iso",   "iso",   by_writing(iso(len(DISK) // 2048))),
    Good("iso-hybrid",          "iso",   "iso",   by_writing(iso(len(DISK) // 2048, mbr(PROTECTIVE)[:512]))),
    Good("iso-as-raw",          "raw",   "raw",   by_writing(iso(len(DISK) // 2048))),
    Good("luks-as-raw",         "raw",   "raw",   by_writing(luks() + DISK[MIB:])),
    Good("luks",                "luks",  "luks",  by_writing(luks() + DISK[MIB:])),
    Good("ami",                 "ami",   "raw",   by_writing(DISK)),
    Good("text",                "raw",   "raw",   by_writing(TEXT)),
)  # fmt: skip


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for hostile in HOSTILE:
        (folder / f"{hostile.name}.{hostile.declared}").write_bytes(hostile.data)
    for good in GOOD:
        good.build(folder / f"good-{good.name}.{good.declared}")
    print(f"{len(HOSTILE)} images to refuse and {len(GOOD)} to accept in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
