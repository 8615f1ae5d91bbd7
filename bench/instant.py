"""
How long volumes take from images of any size in any store, from the request to `available`: python -m bench.instant

Starts a Moorage of its own with a store of every kind (`bench/places.py`), puts three images into each, and makes
volumes of each: one that finds no copy yet, then some that find one, at last many at once.  The first one is attached
as soon as it is available, and random reads of it are compared with the source, while its bytes may still be elsewhere;
a difference ends everything.  What was made is deleted again.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.cloud import Cloud, Failed
from bench.disks import MIB, Disk, compare, disks
from bench.full import moorage
from bench.measures import create_volume, delete_volume
from bench.places import ALL, HOST, Place, places

COLUMNS = (
    "image", "store", "to put it there, s", "path", "first volume, ms", "next, p50 ms", "MiB moved for the first",
    "random reads that equal the source, p50 ms", "at once: failed, s", "load",
)  # fmt: skip


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="bench.instant", description=__doc__)
    parser.add_argument("--store", action="append", choices=ALL, help="store to measure; several times for several")
    parser.add_argument("--image", choices=["small", "large", "vast"], help="only this one")
    parser.add_argument("--large-gib", type=int, default=8, help="size of the large raw image")
    parser.add_argument("--rounds", type=int, default=5, help="volumes one after the other")
    parser.add_argument("--reads", type=int, default=64, help="random reads that are compared")
    parser.add_argument("--at-once", type=int, default=200, help="volumes at once, of the small image")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-instant-", dir="/tmp"))
    folder.chmod(0o711)
    (folder / "disks").mkdir(mode=0o711)
    state = folder / "state"
    os.environ["OS_CLIENT_CONFIG_FILE"] = str(state / "clouds.yaml")
    try:
        with places(folder, asked.store) as (config, stores):
            print(f"{os.cpu_count()} cores\n\n| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|", flush=True)
            with moorage(state, "--config", str(config)):
                cloud = Cloud("moorage-admin")
                for disk in disks(folder / "disks", asked.large_gib, asked.image):
                    for store in stores:
                        crowd = asked.at_once if disk.file.name == "small" else 0
                        print(row(cloud, disk, store, asked.rounds, asked.reads, crowd), flush=True)
    finally:
        subprocess.run([sys.executable, "-m", "moorage", "down", "--state", str(state)], check=False, timeout=120)
        shutil.rmtree(folder)


def row(cloud: Cloud, disk: Disk, store: Place, rounds: int, reads: int, at_once: int) -> str:
    """What is said of one image in one store; a call that failed is said too, and does not end the table."""
    try:
        said = measure(cloud, disk, store, rounds, reads, at_once)
    except Failed as failure:
        said = f"failed: {' '.join(str(failure).split())[:300]}".replace("|", "/")
    return f"| {disk.name} | {store.name} | {said} |"


def measure(cloud: Cloud, disk: Disk, store: Place, rounds: int, reads: int, at_once: int) -> str:
    """One row, but for its names."""
    image, put_s = store.put(cloud, disk)
    made: list[str] = []

    def one() -> float:
        before = time.monotonic()
        made.append(create_volume(cloud, "bench", None, disk.size_gib, imageRef=image))
        return (time.monotonic() - before) * 1000

    try:
        first = one()
        read_ms = read(cloud, made[0], disk, reads)
        how = origin(cloud, made[0])
        later = statistics.median(one() for _ in range(rounds))
        path = ", then ".join(dict.fromkeys((how["path"], origin(cloud, made[-1])["path"])))
        crowd = many(one, at_once) if at_once else ""
        seen = f"{reads} of {reads}, {read_ms:.1f}"
        times = f"{put_s:.1f} | {path} | {first:.0f} | {later:.0f} | {how['bytes'] / MIB:.1f} | {seen}"
        return f"{times} | {crowd} | {os.getloadavg()[0]:.0f}"
    finally:
        for volume in made:
            delete_volume(cloud, volume)
        cloud.call("DELETE", f"{cloud.image}/images/{image}", expect=(204, 404))


def origin(cloud: Cloud, volume: str) -> Mapping[str, Any]:
    """How the volume came to be."""
    url = cloud.volume.split("/volume/")[0] + f"/moorage/v1/volumes/{volume}"
    made: Mapping[str, Any] = cloud.call("GET", url)["volume"]["made"]
    return made


def read(cloud: Cloud, volume: str, disk: Disk, reads: int) -> float:
    """Attach the volume and compare it with its image; the median of what a read took, in milliseconds."""
    body = {"attachment": {"volume_uuid": volume, "mode": "ro", "connector": {"host": HOST, "nbd": True}}}
    attachment = cloud.call("POST", f"{cloud.volume}/attachments", body)["attachment"]
    try:
        return compare(attachment["connection_info"]["uri"], disk, reads)
    finally:
        cloud.call("DELETE", f"{cloud.volume}/attachments/{attachment['id']}")


def many(one: Callable[[], float], count: int) -> str:
    """How many of so many at once failed, and how long all took."""
    before = time.monotonic()

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
