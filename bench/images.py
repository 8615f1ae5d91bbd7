"""
What an upload costs beside pure hashing, and a download beside nginx: python -m bench.images [--mib 1024] [--rounds 5]

Starts a Moorage of its own and, where it is installed, nginx on the same file, and takes turns between them, so that
whatever else the machine does meets all alike. Hashing is md5 and sha512, each in a thread of its own, of bytes in
memory; "hashing and writing" is these and the digests of chunks beside a plain write and fsync of the same bytes.
"""

import argparse
import hashlib
import http.client
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.cloud import Cloud
from bench.full import moorage
from bench.load import cpu_seconds, family
from moorage.images.content.digests import Digests

MIB = 1 << 20
NGINX = """
daemon off; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/error.log; user {user};
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_timeout 75; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""
Timed = Callable[[], None]


def main() -> None:
    """Measure, in turns."""
    parser = argparse.ArgumentParser(prog="bench.images", description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="size of the image")
    parser.add_argument("--rounds", type=int, default=5, help="how often each thing is measured")
    parser.add_argument("--ranges", type=int, default=64, help="how many parts a ranged download has")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-images-", dir="/tmp"))
    folder.chmod(0o711)
    state = folder / "state"
    state.mkdir(mode=0o711)
    os.environ["OS_CLIENT_CONFIG_FILE"] = str(state / "clouds.yaml")
    try:
        with moorage(state) as pid:
            measure(folder, pid, asked.mib, asked.rounds, asked.ranges)
    finally:
        subprocess.run(["python3", "-m", "moorage", "down", "--state", str(state)], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def measure(folder: Path, pid: int, mib: int, rounds: int, ranges: int) -> None:
    """All of it, in turns; the table."""
    file, cloud = folder / "random", Cloud("moorage")
    with file.open("wb") as out:
        for _ in range(mib):
            out.write(os.urandom(MIB))
    image = new_image(cloud)
    cloud.upload(image, file)
    target = cloud.image.removeprefix("http://")
    host, _, path = target.partition("/")
    url = f"/{path}/images/{image}/file"
    whole, parts = {"X-Auth-Token": cloud.token}, spans(mib * MIB, ranges)
    with nginx(folder, file) as (port, nginx_pid):
        things: dict[str, tuple[Timed, list[int]]] = {
            "hashing alone": (lambda: hashing(file), []),
            "hashing and writing": (lambda: hashing_and_writing(file, folder / "written"), []),
            "upload": (lambda: upload_and_delete(cloud, file), [pid]),
            "download": (lambda: fetch(host, url, whole, [None], file), [pid]),
            f"download in {ranges} parts": (lambda: fetch(host, url, whole, parts, file), [pid]),
        }
        if port:
            there = f"127.0.0.1:{port}"
            things["nginx"] = (lambda: fetch(there, "/random", {}, [None], file), [nginx_pid])
            things[f"nginx in {ranges} parts"] = (lambda: fetch(there, "/random", {}, parts, file), [nginx_pid])
        table(things, mib, rounds)


def table(things: dict[str, tuple[Timed, list[int]]], mib: int, rounds: int) -> None:
    """Take turns; print what each took."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {mib} MiB, {rounds} rounds in turns\n")
    took: dict[str, list[float]] = {name: [] for name in things}
    paid: dict[str, list[float]] = {name: [] for name in things}
    for _ in range(rounds):
        for name, (work, servers) in things.items():
            before, began = cpu_seconds(family(servers)), time.monotonic()
            work()
            took[name].append(time.monotonic() - began)
            paid[name].append(cpu_seconds(family(servers)) - before)
    print("| what | best s | median s | MiB/s at best | server CPU s |\n|---|---|---|---|---|")
    for name, times in took.items():
        cpu = f"{statistics.median(paid[name]):.2f}" if things[name][1] else ""
        print(f"| {name} | {min(times):.2f} | {statistics.median(times):.2f} | {mib / min(times):.0f} | {cpu} |")


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


def upload_and_delete(cloud: Cloud, file: Path) -> None:
    """An upload; the deletion behind it takes milliseconds."""
    image = new_image(cloud)
    cloud.upload(image, file)
    cloud.call("DELETE", f"{cloud.image}/images/{image}")


def spans(size: int, count: int) -> list[tuple[int, int] | None]:
    """`count` parts of so many bytes: first and last of each."""
    step = -(-size // count)
    return [(start, min(size, start + step) - 1) for start in range(0, size, step)]


def fetch(host: str, url: str, headers: dict[str, str], parts: list[tuple[int, int] | None], file: Path) -> None:
    """Read the parts one after the other over one connection and throw them away."""
    connection, buffer, count = http.client.HTTPConnection(host, timeout=600), bytearray(MIB), 0
    for part in parts:
        more = {} if part is None else {"Range": f"bytes={part[0]}-{part[1]}"}
        connection.request("GET", url, headers={**headers, **more})
        reply = connection.getresponse()
        assert reply.status == (200 if part is None else 206), reply.status
        while n := reply.readinto(buffer):
            count += n
    connection.close()
    assert count == file.stat().st_size


@contextmanager
def nginx(folder: Path, file: Path) -> Iterator[tuple[int, int]]:
    """nginx on the folder of the file: its port and pid; 0 where it is not installed."""
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None:
        print("nginx is not installed: only Moorage is measured\n")
        yield 0, 0
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    user = "root" if os.geteuid() == 0 else "nobody"
    settings = folder / "nginx.conf"
    settings.write_text(NGINX.format(folder=folder, port=port, root=file.parent, user=user))
    process = subprocess.Popen([program, "-c", str(settings), "-p", str(folder), "-e", str(folder / "error.log")])
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    main()
