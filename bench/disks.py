"""The images that volumes are made of here, and whether what a volume shows is what is in them."""

import os
import random
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MIB, GIB = 1 << 20, 1 << 30
EXTENT, PAGE = 128 << 10, 4096
SYSTEM_MODULES = "/usr/lib/python3/dist-packages"  # where Debian's python3-libnbd is


class Different(Exception):
    """A volume does not show what is in its image."""


@dataclass(frozen=True)
class Disk:
    """An image: the file of it, and the raw disk that has to be seen in it."""

    name: str
    file: Path
    raw: Path
    format: str
    size_gib: int
    extents: Sequence[int]  #: where there is anything but zeros


def disks(folder: Path, large_gib: int, only: str | None) -> Iterator[Disk]:
    """A small one, a large one, and one that is vast and mostly empty; or one of them."""
    if only in (None, "small"):
        yield _raw(folder / "small", "raw, 64 MiB", 64 * MIB, 512)
    if only in (None, "large"):
        yield _raw(folder / "large", f"raw, {large_gib} GiB", large_gib * GIB, 800)
    if only in (None, "vast"):
        vast, packed = _raw(folder / "vast", "", 64 * GIB, 8192), folder / "vast.qcow2"
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", vast.file, packed], check=True)
        yield Disk("qcow2, 64 GiB with 1 GiB of data", packed, vast.raw, "qcow2", 64, vast.extents)


def _raw(path: Path, name: str, size: int, count: int) -> Disk:
    """A sparse file with so many pieces of data, evenly spread; no two pages of them are the same."""
    extents = [n * (size // count) // PAGE * PAGE for n in range(count)]
    noise = bytearray(random.Random(size).randbytes(EXTENT))
    with path.open("wb") as file:
        file.truncate(size)
        for at in extents:
            for page in range(0, EXTENT, PAGE):
                struct.pack_into(">Q", noise, page, at + page)
            os.pwrite(file.fileno(), noise, at)
    return Disk(name, path, path, "raw", -(-size // GIB), extents)


def compare(uri: str, disk: Disk, reads: int) -> float:
    """Read here and there, mostly where there is something; the median of what a read took, in milliseconds."""
    dice, times = random.Random(reads), []
    handle = _libnbd().NBD()
    handle.set_uri_allow_local_file(True)
    handle.connect_uri(uri)
    with disk.raw.open("rb") as source:
        size = os.fstat(source.fileno()).st_size
        for n in range(reads):
            length = dice.choice((512, PAGE, 64 << 10))
            at = dice.choice(disk.extents) + dice.randrange(EXTENT) if n % 4 else dice.randrange(size)
            at = min(at, size - length) // 512 * 512
            before = time.monotonic()
            found = handle.pread(length, at)
            times.append(time.monotonic() - before)
            if found != os.pread(source.fileno(), length, at):
                raise Different(f"{disk.name}: {length} bytes at {at}")
    handle.shutdown()
    return statistics.median(times) * 1000


def _libnbd() -> Any:
    sys.path.append(SYSTEM_MODULES)
    try:
        import nbd  # type: ignore[import-not-found]
    finally:
        sys.path.remove(SYSTEM_MODULES)
    return nbd
