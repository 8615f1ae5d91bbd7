"""
What an attachment's life costs in a Moorage that has many already: python -m bench.full [--volumes 100000]

Starts a Moorage of its own on SQLite, measures, fills its database straight by SQL (each tenth volume attached, all of
them once before), starts it again and measures again: the same calls, over HTTP, with daemons and gates.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import insert

from bench import rows
from bench.cloud import Cloud
from bench.load import load
from bench.measures import create_volume, cycle, delete_volume
from moorage.database import Database
from moorage.volumes.attachments.attachment import State
from moorage.volumes.records import attachments

READY_S = 120.0


def main() -> None:
    """Measure, fill, measure."""
    parser = argparse.ArgumentParser(prog="bench.full", description=__doc__)
    parser.add_argument("--volumes", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measure")
    asked = parser.parse_args()
    state = Path(tempfile.mkdtemp(prefix="bench-full-", dir="/tmp"))
    state.chmod(0o711)
    os.environ["OS_CLIENT_CONFIG_FILE"] = str(state / "clouds.yaml")
    try:
        print("| attachments held, ended | clients | per s | p50 ms | p99 ms | server CPU ms | failed |")
        print("|---|---|---|---|---|---|---|")
        measure(state, "0, 0", asked.seconds)
        database = Database(f"sqlite:///{state / 'moorage.db'}")
        rows.fill(database, 0, asked.volumes)
        ended(database, asked.volumes)
        database.close()
        measure(state, f"{asked.volumes // 10}, {asked.volumes}", asked.seconds)
    finally:
        subprocess.run([sys.executable, "-m", "moorage", "down", "--state", str(state)], check=False, timeout=120)
        shutil.rmtree(state)


def ended(database: Database, volumes: int) -> None:
    """Every volume has an attachment that is over; each tenth has it already."""
    for first in range(0, volumes, rows.BATCH):
        numbers = [n for n in range(first, min(first + rows.BATCH, volumes)) if n % 10]
        with database.write() as tx:
            tx.run(insert(attachments), [rows._claim(n, State.DETACHED) for n in numbers])


def measure(state: Path, held: str, seconds: float) -> None:
    """The attach cycle with one and with sixteen clients."""
    with moorage(state) as pid:
        cloud = Cloud("moorage")
        free = [create_volume(cloud, f"bench-{n}", None) for n in range(20)]
        volumes = list(free)
        for clients in (1, 16):
            out = load(lambda: cycle(cloud, free), clients, seconds, [pid])
            times = f"{out.rate:.2f} | {out.p50_ms:.1f} | {out.p99_ms:.1f} | {out.cpu_ms or 0:.2f}"
            print(f"| {held} | {clients} | {times} | {out.failed} |", flush=True)
        for volume in volumes:
            delete_volume(cloud, volume)


@contextmanager
def moorage(state: Path, *more: str) -> Iterator[int]:
    """A Moorage that answers, started with `more` arguments; its pid."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "moorage", "up", "--state", str(state), "--listen", address, *more]
    with (state.with_name(state.name + ".log")).open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        host, _, port = address.rpartition(":")
        deadline = time.monotonic() + READY_S
        while True:
            try:
                socket.create_connection((host, int(port)), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"moorage did not start: {log.name}") from None
                time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)
        Path(log.name).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
