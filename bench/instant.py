"""
How long volumes take from images of any size in any store, from the request to `available`: python -m bench.instant

Starts a Moorage of its own with the stores of `--config` (by default one in reach of its backend and one out of it),
puts three images into each store of `--store`, and makes volumes of each: one that finds no copy yet, then some that
find one, at last many at once.  Everything is deleted again.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.cloud import Cloud, Failed
from bench.full import moorage
from bench.measures import create_volume, delete_volume

MIB, GIB = 1 << 20, 1 << 30
EXTENT = 128 << 10

CONFIG = """
[volumes]
quota_volumes = -1
quota_gigabytes = -1

[[stores]]
id = "near"

[[stores]]
id = "far"
path = "{far}"
"""


@dataclass(frozen=True)
class Disk:
    """An image to be uploaded."""

    name: str
    path: Path
    format: str
    size_gib: int


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="bench.instant", description=__doc__)
    parser.add_argument("--config", type=Path, help="configuration with the stores")
    parser.add_argument("--store", action="append", help="store to measure; several times for several")
    parser.add_argument("--image", choices=["small", "large", "vast"], help="only this one")
    parser.add_argument("--large-gib", type=int, default=8, help="size of the large raw image")
    parser.add_argument("--rounds", type=int, default=5, help="volumes one after the other")
    parser.add_argument("--at-once", type=int, default=200, help="volumes at once, of the small image")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-instant-", dir="/tmp"))
    folder.chmod(0o711)
    state, config = folder / "state", asked.config or folder / "moorage.toml"
    if asked.config is None:
        config.write_text(CONFIG.format(far=folder / "far"))
        (folder / "far").mkdir()
    os.environ["OS_CLIENT_CONFIG_FILE"] = str(state / "clouds.yaml")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| image | store | path | first, ms | next, p50 ms | MiB moved for the first | at once: failed, s |")
    print("|---|---|---|---|---|---|---|")
    try:
        with moorage(state, "--config", str(config)):
            cloud = Cloud("moorage")
            for disk in disks(folder, asked.large_gib, asked.image):
                for store in asked.store or ["near", "far"]:
                    measure(cloud, disk, store, asked.rounds, asked.at_once if "64 MiB" in disk.name else 0)
    finally:
        subprocess.run([sys.executable, "-m", "moorage", "down", "--state", str(state)], check=False, timeout=120)
        shutil.rmtree(folder)


def disks(folder: Path, large_gib: int, only: str | None) -> Iterator[Disk]:
    """The three images, or one of them."""
    if only in (None, "small"):
        yield Disk("raw, 64 MiB", sparse(folder / "small", 64 * MIB, 512), "raw", 1)
    if only in (None, "large"):
        yield Disk(f"raw, {large_gib} GiB", sparse(folder / "large", large_gib * GIB, 800), "raw", large_gib)
    if only in (None, "vast"):
        vast, packed = sparse(folder / "vast", 64 * GIB, 8192), folder / "vast.qcow2"
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", vast, packed], check=True)
        vast.unlink()
        yield Disk("qcow2, 64 GiB with 1 GiB of data", packed, "qcow2", 64)


def sparse(path: Path, size: int, extents: int) -> Path:
    """A sparse file with so many pieces of data, evenly spread."""
    noise = random.Random(size).randbytes(EXTENT)
    with path.open("wb") as file:
        file.truncate(size)
        for n in range(extents):
            os.pwrite(file.fileno(), noise, n * (size // extents) // 4096 * 4096)
    return path


def measure(cloud: Cloud, disk: Disk, store: str, rounds: int, at_once: int) -> None:
    """One row."""
    asked = {"name": "bench", "disk_format": disk.format, "container_format": "bare"}
    image: str = cloud.call("POST", f"{cloud.image}/images", asked)["id"]
    cloud.upload(image, disk.path, store)
    made: list[str] = []

    def one() -> float:
        before = time.monotonic()
        made.append(create_volume(cloud, "bench", None, disk.size_gib, imageRef=image))
        return (time.monotonic() - before) * 1000

    try:
        first = one()
        url = cloud.volume.split("/volume/")[0] + f"/moorage/v1/volumes/{made[0]}"
        how = cloud.call("GET", url)["volume"]["made"]
        later = statistics.median(one() for _ in range(rounds))
        crowd = many(one, at_once) if at_once else ""
        moved = how["bytes"] / MIB
        print(
            f"| {disk.name} | {store} | {how['path']} | {first:.0f} | {later:.0f} | {moved:.1f} | {crowd} |", flush=True
        )
    finally:
        for volume in made:
            delete_volume(cloud, volume)
        cloud.call("DELETE", f"{cloud.image}/images/{image}", expect=(204, 404))


def many(one: Callable[[], float], count: int) -> str:
    """How many of so many at once failed, and how long all took."""
    before, failed = time.monotonic(), 0

    def tried(_: int) -> bool:
        try:
            one()
        except Failed:
            return False
        return True

    with ThreadPoolExecutor(count) as pool:
        failed = list(pool.map(tried, range(count))).count(False)
    return f"{count}: {failed}, {time.monotonic() - before:.1f}"


if __name__ == "__main__":
    main()
