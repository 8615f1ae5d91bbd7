"""
What 4 MiB of a large image cost in a store elsewhere: python -m bench.parts [--mib 64 --mib 512] [--store swift]

That is how much a lazy volume fetches at a time. A Moorage of its own with Ceph's gateway (`bench/places.py`); images
of random bytes of each size are uploaded to each store and read in parts, in turns, over one connection each.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.cloud import Cloud
from bench.downloads import MIB, Source, compare, head
from bench.images import Told, new_image, random_file, running
from bench.places import NEAR, S3, SWIFT, Place, places

PART_MIB = 4
MARKS = ("<!-- bench.parts -->", "<!-- end of bench.parts -->")


def main() -> None:
    """Measure, in turns."""
    parser = argparse.ArgumentParser(prog="bench.parts", description=__doc__)
    parser.add_argument("--mib", type=int, action="append", help="size of an image; several times for several")
    parser.add_argument("--rounds", type=int, default=3, help="how often each store has a turn")
    parser.add_argument("--store", action="append", choices=[NEAR, S3, SWIFT], help="only these")
    parser.add_argument("--into", type=Path, help="a page whose table, between two marks, is replaced by the new one")
    asked = parser.parse_args()
    told = Told()
    folder = Path(tempfile.mkdtemp(prefix="bench-parts-", dir="/tmp"))
    folder.chmod(0o711)
    (folder / "disks").mkdir(mode=0o711)
    state = folder / "state"
    os.environ["OS_CLIENT_CONFIG_FILE"] = str(state / "clouds.yaml")
    try:
        with places(folder, asked.store or [NEAR, S3, SWIFT]) as (config, stores), running(state, config) as pid:
            head(told)
            for mib in asked.mib or [64, 512]:
                size(folder / "disks" / str(mib), mib, stores, pid, asked.rounds, told)
    finally:
        subprocess.run(
            [sys.executable, "-m", "moorage", "down", "--state", str(state)], check=False, capture_output=True
        )
        shutil.rmtree(folder, ignore_errors=True)
    if asked.into:
        told.replace(asked.into, MARKS)


def size(file: Path, mib: int, stores: Sequence[Place], pid: int, rounds: int, told: Told) -> None:
    """The rows of images of one size."""
    cloud = Cloud("moorage-admin")
    host, _, path = cloud.image.removeprefix("http://").partition("/")
    random_file(file, mib)
    sources = []
    for store in stores:
        cloud.hang_up()
        image = new_image(cloud)
        cloud.upload(image, file, store.id)
        url = f"/{path}/images/{image}/file"
        sources.append(Source(store.name, host, url, pid, {"X-Auth-Token": cloud.token}))
    compare(sources, file, rounds, ((f"{PART_MIB} MiB of {mib}", PART_MIB * MIB, 64),), told)


if __name__ == "__main__":
    main()
