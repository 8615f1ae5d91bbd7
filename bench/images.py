"""
What an upload costs beside pure hashing, and a download beside nginx: python -m bench.images [--mib 512] [--rounds 3]

Starts a Moorage of its own with stores of several kinds (`bench/places.py`) and, where it is installed, nginx on the
same file, and takes turns between them, so that whatever else the machine does meets all alike. Hashing is md5 and
sha512, each in a thread of its own, of bytes from the page cache; "hashing and writing" is these and the digests of
chunks beside a plain write and fsync of the same bytes. Prints two tables, and puts them `--into` a page.
"""

import argparse
import hashlib
import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, redirect_stdout
from pathlib import Path

from bench.cloud import Cloud
from bench.downloads import MIB, NGINX, Source, compare, head
from bench.full import moorage
from bench.load import cpu_seconds, family
from bench.places import FAR, NEAR, S3, SWIFT, VOLUME, Place, places
from bench.web import nginx
from moorage.images.content.digests import Digests

STORES = (NEAR, VOLUME, S3, SWIFT)
COLUMNS = (
    "what", "best s", "median s", "MiB/s at best", "of hashing alone", "of hashing and writing", "server CPU s",
    "peak memory, MiB more", "load",
)  # fmt: skip
MARKS = ("<!-- bench.images -->", "<!-- end -->")
Timed = Callable[[], None]


def main() -> None:
    """Measure, in turns."""
    parser = argparse.ArgumentParser(prog="bench.images", description=__doc__)
    parser.add_argument("--mib", type=int, default=512, help="size of the image")
    parser.add_argument("--rounds", type=int, default=3, help="how often each thing is measured")
    parser.add_argument(
        "--store", action="append", choices=[*STORES, FAR], help="only these; several times for several"
    )
    parser.add_argument("--only", choices=["uploads", "downloads"], help="leave out the others")
    parser.add_argument(
        "--into", type=Path, help="a page whose tables, between two marks, are replaced by the new ones"
    )
    asked = parser.parse_args()
    told = Told()
    with redirect_stdout(told):
        measure(asked.mib, asked.rounds, asked.store or list(STORES), asked.only)
    if asked.into:
        told.replace(asked.into)


class Told(io.StringIO):
    """What is printed, and printed at once as well."""

    def write(self, text: str) -> int:
        print(text, end="", file=sys.__stdout__, flush=True)
        return super().write(text)

    def replace(self, page: Path, marks: tuple[str, str] = MARKS) -> None:
        """Put it between the marks in the page."""
        before, begin, rest = page.read_text().partition(marks[0])
        _, end, after = rest.partition(marks[1])
        assert begin and end, f"{page} has no place for the tables"
        page.write_text(f"{before}{begin}\n{self.getvalue()}{end}{after}")


def measure(mib: int, rounds: int, kinds: Sequence[str], only: str | None = None) -> None:
    """Everything, or uploads or downloads only, in turns."""
    folder = Path(tempfile.mkdtemp(prefix="bench-images-", dir="/tmp"))
    folder.chmod(0o711)
    (folder / "disks").mkdir(mode=0o711)
    (folder / "web").mkdir(mode=0o711)
    state = folder / "state"
    os.environ["OS_CLIENT_CONFIG_FILE"] = str(state / "clouds.yaml")
    try:
        file = random_file(folder / "disks" / "random", mib)
        with places(folder, kinds) as (config, stores), running(state, config) as pid:
            print(f"{os.cpu_count()} cores, {mib} MiB, {rounds} rounds in turns\n")
            cloud = Cloud("moorage-admin")
            if only != "downloads":
                uploads(cloud, file, stores, pid, rounds)
            if only != "uploads":
                downloads(cloud, file, stores, pid, rounds, folder / "web")
    finally:
        subprocess.run(
            [sys.executable, "-m", "moorage", "down", "--state", str(state)], check=False, capture_output=True
        )
        shutil.rmtree(folder, ignore_errors=True)


def running(state: Path, config: Path) -> AbstractContextManager[int]:
    return moorage(state, "--config", str(config))


def random_file(file: Path, mib: int) -> Path:
    with file.open("wb") as out:
        for _ in range(mib):
            out.write(os.urandom(MIB))
    return file


def uploads(cloud: Cloud, file: Path, stores: Sequence[Place], pid: int, rounds: int) -> None:
    """Hashing, and uploads to each store; their table."""
    things: dict[str, tuple[Timed, int | None]] = {
        "hashing alone": (lambda: hashing(file), None),
        "hashing and writing": (lambda: hashing_and_writing(file, file.with_name("written")), None),
    }
    for store in stores:
        things[f"upload: {store.name}"] = (lambda store=store: upload_and_delete(cloud, file, store), pid)  # type: ignore[misc]
    seen: dict[str, list[tuple[float, float, float]]] = {name: [] for name in things}
    for _ in range(rounds):
        for name, (work, server) in things.items():
            seen[name].append(measured(work, server))
    mib = file.stat().st_size / MIB
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    best = {name: min(took for took, _, _ in rows) for name, rows in seen.items()}
    for name, rows in seen.items():
        median, paid, more = (statistics.median(column) for column in zip(*rows, strict=True))
        served = f"{paid:.2f} | {more:.0f}" if things[name][1] else " | "
        ratios = f"{best['hashing alone'] / best[name]:.0%} | {best['hashing and writing'] / best[name]:.0%}"
        load = os.getloadavg()[0]
        print(
            f"| {name} | {best[name]:.2f} | {median:.2f} | {mib / best[name]:.0f} | {ratios} | {served} | {load:.0f} |"
        )


def measured(work: Timed, server: int | None) -> tuple[float, float, float]:
    """How long it took; what the server paid, and how much its memory grew at most."""
    if server is None:
        began = time.monotonic()
        work()
        return time.monotonic() - began, 0.0, 0.0
    servers = family([server])
    Path(f"/proc/{server}/clear_refs").write_text("5")  # its peak is counted from here
    before, memory, began = cpu_seconds(servers), memory_mib(server, "VmRSS"), time.monotonic()
    work()
    took = time.monotonic() - began
    return took, cpu_seconds(servers) - before, memory_mib(server, "VmHWM") - memory


def memory_mib(pid: int, what: str) -> float:
    """What the kernel says of the process's memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what + ":")) / 1024


def downloads(cloud: Cloud, file: Path, stores: Sequence[Place], pid: int, rounds: int, folder: Path) -> None:
    """Downloads from each store and from nginx; their table."""
    host, _, path = cloud.image.removeprefix("http://").partition("/")
    token = {"X-Auth-Token": cloud.token}
    with nginx(folder, file) as (port, nginx_pid):
        sources = [Source(NGINX, f"127.0.0.1:{port}", f"/{file.name}", nginx_pid)] if port else []
        for store in stores:
            cloud.hang_up()
            image = new_image(cloud)
            cloud.upload(image, file, store.id)
            sources.append(Source(store.name, host, f"/{path}/images/{image}/file", pid, token))
        head()
        compare(sources, file, rounds)


def pieces(file: Path) -> Iterator[bytes]:
    """The bytes of the file, two mebibytes at a time."""
    with file.open("rb", buffering=0) as source:
        while piece := source.read(2 * MIB):
            yield piece


def hashing(file: Path) -> None:
    """md5 and sha512, side by side."""
    side_by_side([lambda: each(file, hashlib.md5().update), lambda: each(file, hashlib.sha512().update)])


def hashing_and_writing(file: Path, target: Path) -> None:
    """The same, the digests of chunks, and the same bytes written and brought to the disk."""

    def write() -> None:
        with target.open("wb", buffering=0) as out:
            each(file, out.write)
            os.fsync(out.fileno())

    work = [hashlib.md5().update, hashlib.sha512().update, Digests().feed]
    side_by_side([*[lambda one=one: each(file, one) for one in work], write])  # type: ignore[misc]
    target.unlink()


def each(file: Path, work: Callable[[bytes], object]) -> None:
    for piece in pieces(file):
        work(piece)


def side_by_side(work: list[Timed]) -> None:
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def new_image(cloud: Cloud) -> str:
    body = {"name": "bench", "disk_format": "raw", "container_format": "bare"}
    return str(cloud.call("POST", f"{cloud.image}/images", body)["id"])


def upload_and_delete(cloud: Cloud, file: Path, store: Place) -> None:
    """An upload; the deletion behind it takes little."""
    cloud.hang_up()  # others had their turns meanwhile, perhaps for longer than a connection is kept
    image = new_image(cloud)
    cloud.upload(image, file, store.id)
    cloud.call("DELETE", f"{cloud.image}/images/{image}")


if __name__ == "__main__":
    main()
