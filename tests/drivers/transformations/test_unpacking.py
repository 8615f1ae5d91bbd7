"""Unpacking: what the usual tools have packed comes out; what is damaged, endless or several things is refused."""

import bz2
import contextlib
import gzip
import io
import itertools
import lzma
import os
import random
import shutil
import subprocess
import threading
import tracemalloc
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from backports import zstd

from moorage.core.errors import TooLarge
from moorage.drivers.transformations.unpacking.packing import PACKINGS, PackingRefused, packing_of
from moorage.drivers.transformations.unpacking.process import Unpacker
from moorage.drivers.transformations.unpacking.zipped import BadZip, ZipDecompressor
from moorage.images.imports.fetch import SourceUnavailable

DATA = random.Random(1).randbytes(3 << 20) + bytes(5 << 20)


def zipped(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.comment = comment
        for name, data in files:
            archive.writestr(name, data)
    return buffer.getvalue()


class _Pipe(io.RawIOBase):
    """Somewhere to write that cannot be wound back: archives get their sizes behind the data there."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.data += data
        return len(data)


def streamed_zip(name: str, data: bytes, **how) -> bytes:
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w", **how) as file:
        file.write(data)
    return bytes(pipe.data)


def large_zip(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive, archive.open("a", "w", force_zip64=True) as file:
        file.write(data)
    return buffer.getvalue()


GOOD = {
    "gzip": gzip.compress(DATA),
    "gzip, several members": gzip.compress(DATA[:999]) + gzip.compress(DATA[999:]),
    "gzip, padded": gzip.compress(DATA) + bytes(5000),
    "xz": lzma.compress(DATA),
    "xz, with sums of another kind": lzma.compress(DATA, check=lzma.CHECK_SHA256),
    "xz, several streams": lzma.compress(DATA[:999]) + bytes(8) + lzma.compress(DATA[999:]),
    "zstd": zstd.compress(DATA),
    "zstd, long window": zstd.compress(DATA, options={zstd.CompressionParameter.window_log: 27}),
    "zstd, several frames": zstd.compress(DATA[:999]) + zstd.compress(DATA[999:]),
    "zip": zipped(("image.raw", DATA)),
    "zip, stored": zipped(("image.raw", DATA), method=zipfile.ZIP_STORED),
    "zip, with a comment": zipped(("image.raw", DATA), comment=b"PK\x05\x06 is the end"),
    "zip, sizes behind": streamed_zip("image.raw", DATA),
    "zip, large sizes behind": streamed_zip("image.raw", DATA, force_zip64=True),
    "zip, large sizes": large_zip(DATA),
}


def pieces(data: bytes, step: int = 65_537) -> Iterable[bytes]:
    return iter([data[start : start + step] for start in range(0, len(data), step)])


def unpacked(data: bytes, packing: str | None = None, step: int = 65_537, limit: int | None = None) -> bytes:
    found = packing or packing_of(data)
    assert found is not None
    return b"".join(Unpacker().unpack(found, pieces(data, step), limit))


@pytest.mark.parametrize("packed", GOOD.values(), ids=GOOD.keys())
def test_what_was_packed_comes_out(packed):
    assert unpacked(packed) == DATA


@pytest.mark.parametrize("name", ["gzip", "xz", "zstd", "zip", "zip, sizes behind"])
def test_the_cuts_make_no_difference(name):
    small = DATA[: 3 << 10]
    packed = {"gzip": gzip.compress, "xz": lzma.compress, "zstd": zstd.compress}.get(
        name, lambda d: streamed_zip("a", d) if "behind" in name else zipped(("a", d))
    )(small)
    for step in (1, len(packed)):
        assert unpacked(packed, step=step) == small


@pytest.mark.parametrize("packing", PACKINGS)
def test_nothing_comes_out_of_nothing_packed(packing):
    empty = {"gzip": gzip.compress, "xz": lzma.compress, "zstd": zstd.compress}.get(
        packing, lambda d: zipped(("a", d))
    )(b"")
    assert unpacked(empty, packing) == b""


@pytest.mark.parametrize("tool", ["gzip", "xz", "zstd", "zip"])
def test_what_the_usual_tool_packs_comes_out(tool, tmp_path):
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")
    (tmp_path / "image").write_bytes(DATA)
    command = ["zip", "-q", "-", "image"] if tool == "zip" else [tool, "-c", "image"]
    packed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout
    assert unpacked(packed) == DATA


def test_what_is_not_packed_is_not_taken_for_packed():
    for data in (b"", b"\x1f\x8b", b"QFI\xfb" + bytes(100), bytes(100), bz2.compress(DATA), b"PK\x05\x06" + bytes(18)):
        assert packing_of(data) is None


def changed(data: bytes, at: int, to: bytes) -> bytes:
    return data[:at] + to + data[at + len(to) :]


ONE = zipped(("a", DATA[:5000]))
CENTRAL = ONE.index(b"PK\x01\x02")
BAD = {
    "gzip, damaged": ("gzip", changed(GOOD["gzip"], 100_000, bytes(99))),
    "gzip, wrong sum": ("gzip", changed(GOOD["gzip"], len(GOOD["gzip"]) - 8, b"abcd")),
    "gzip, cut off": ("gzip", GOOD["gzip"][:-1]),
    "gzip, only a head": ("gzip", GOOD["gzip"][:5]),
    "gzip, garbage behind": ("gzip", GOOD["gzip"] + b"garbage"),
    "gzip, xz behind": ("gzip", GOOD["gzip"] + GOOD["xz"]),
    "xz, damaged": ("xz", changed(GOOD["xz"], 100_000, bytes(99))),
    "xz, cut off": ("xz", GOOD["xz"][:-1]),
    "xz, garbage behind": ("xz", GOOD["xz"] + b"garbage!"),
    "zstd, damaged": ("zstd", changed(GOOD["zstd"], 4, b"\xff\xff\xff\xff\xff")),
    "zstd, cut off": ("zstd", GOOD["zstd"][:-1]),
    "zstd, garbage behind": ("zstd", GOOD["zstd"] + b"garbage!"),
    "zip, damaged": ("zip", changed(GOOD["zip"], 100_000, bytes(99))),
    "zip, wrong sum": ("zip", changed(ONE, CENTRAL + 16, b"abcd")),
    "zip, wrong size": ("zip", changed(ONE, CENTRAL + 24, b"abcd")),
    "zip, another name": ("zip", changed(ONE, CENTRAL + 46, b"b")),
    "zip, cut off": ("zip", ONE[:-1]),
    "zip, no list": ("zip", ONE[:CENTRAL]),
    "zip, garbage behind": ("zip", ONE + b"garbage"),
    "zip, two files": ("zip", zipped(("a", b"1" * 99), ("b", b"2" * 99))),
    "zip, two large files": ("zip", zipped(("a", DATA), ("b", DATA))),
    "zip, two stored files": ("zip", zipped(("a", DATA), ("b", DATA), method=zipfile.ZIP_STORED)),
    "zip, a folder": ("zip", zipped(("a/", b""))),
    "zip, no file": ("zip", zipped()),
    "zip, two archives": ("zip", ONE + ONE),
    "zip, another method": ("zip", zipped(("a", DATA), method=zipfile.ZIP_BZIP2)),
    "zip, encrypted": ("zip", changed(ONE, 6, b"\x01")),
    "zip, local size lies": ("zip", changed(zipped(("a", DATA[:5000]), method=zipfile.ZIP_STORED), 18, b"\x01\0\0\0")),
    "zip, a second list": ("zip", ONE[:CENTRAL] + ONE[CENTRAL:] + ONE[CENTRAL:]),
    "zip, more entries said": ("zip", changed(ONE, len(ONE) - 14, b"\2\0\2\0")),
    "gzip that is zstd": ("gzip", GOOD["zstd"]),
}  # fmt: skip


@pytest.mark.parametrize(("packing", "data"), BAD.values(), ids=BAD.keys())
def test_what_is_not_one_whole_file_is_refused(packing, data):
    with pytest.raises(PackingRefused) as refusal:
        unpacked(data, packing)
    assert refusal.value.status == 415
    assert refusal.value.facts["packing"] == packing
    assert "Error" not in refusal.value.sentence


def test_an_archive_with_random_bytes_changed_gives_the_same_data_or_is_refused():
    """Whatever is hit: the data, the local head, the list, or its end. Without a child for each, which takes long."""
    packed, rnd, refused = zipped(("name", DATA[:2000])), random.Random(7), 0
    for _ in range(2000):
        spoilt = bytearray(packed)
        spoilt[rnd.randrange(len(spoilt))] ^= 1 << rnd.randrange(8)
        reader, found = ZipDecompressor(), b""
        try:
            found += reader.decompress(bytes(spoilt), 1 << 20)
            while not reader.needs_input:
                found += reader.decompress(b"", 1 << 20)
            reader.finish()
            assert found == DATA[:2000]
        except BadZip:
            refused += 1
    assert refused > 1000


# ---- limits


@pytest.mark.parametrize("name", ["gzip", "xz", "zstd", "zip"])
def test_more_than_allowed_is_refused_while_it_comes_out(name):
    assert len(unpacked(GOOD[name], limit=len(DATA))) == len(DATA)
    with pytest.raises(TooLarge):
        unpacked(GOOD[name], limit=len(DATA) - 1)


def test_what_grows_out_of_all_proportion_is_refused():
    bomb = zstd.compress(bytes(256 << 20))
    assert len(bomb) < 64 << 10
    with pytest.raises(TooLarge, match="for each compressed one"):
        for _ in Unpacker(ratio=1000, free_bytes=1 << 20).unpack("zstd", iter([bomb])):
            pass


def test_a_window_that_takes_too_much_memory_is_refused():
    packed = {
        "zstd": zstd.compress(DATA, options={zstd.CompressionParameter.window_log: 28}),
        "xz": lzma.compress(DATA, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 512 << 20, "preset": 0}]),
    }
    # A frame of known size needs no larger window than that; the header is made to ask for it.
    packed["zstd"] = b"\x28\xb5\x2f\xfd\x00" + bytes([(30 - 10) << 3]) + packed["zstd"][6:]
    for packing, data in packed.items():
        with pytest.raises(PackingRefused):
            unpacked(data, packing)


def test_memory_does_not_grow_with_what_comes_out():
    packed, size = gzip.compress(bytes(256 << 20), 1), 0
    tracemalloc.start()
    for piece in Unpacker().unpack("gzip", pieces(packed)):
        assert len(piece) <= 1 << 20
        size += len(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == 256 << 20
    assert peak < 8 << 20


def test_what_is_wrong_with_the_source_is_told_as_such():
    def broken():
        yield GOOD["gzip"][:100_000]
        raise SourceUnavailable(host="example.org", why="it hung up")

    with pytest.raises(SourceUnavailable):
        for _ in Unpacker().unpack("gzip", broken()):
            pass


def children() -> set[int]:
    """Processes that this one has started and not buried."""
    found = set()
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # threads end
            found |= set(map(int, Path(f"/proc/self/task/{task}/children").read_text().split()))
    return found


def test_whoever_wants_no_more_leaves_no_process():
    before = children()
    stream = Unpacker().unpack("gzip", itertools.cycle([GOOD["gzip"]]))
    next(stream)
    assert children() - before
    stream.close()
    assert children() - before == set()
    for thread in threading.enumerate():
        if thread.name == "unpack":
            thread.join(30)
            assert not thread.is_alive()
