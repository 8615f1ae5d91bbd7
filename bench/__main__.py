"""Measure clouds side by side and print a table: python -m bench --cloud moorage --cloud peer"""

import argparse
import os
import platform
import tempfile
from pathlib import Path

from bench import measures
from bench.cloud import Cloud
from bench.load import Outcome


def main() -> None:
    """Run the measures against each cloud in turn."""
    asked = arguments()
    print(f"{os.cpu_count()} cores, {platform.release()}, load {os.getloadavg()[0]:.1f}\n")
    print("| measure | cloud | clients | per s | p50 ms | p99 ms | server CPU ms | failed |")
    print("|---|---|---|---|---|---|---|---|")
    pids = {name: [int(p) for p in numbers.split(",")] for name, _, numbers in (p.partition("=") for p in asked.pid)}
    types = dict(t.split("=", 1) for t in asked.type)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "random"
        with file.open("wb") as out:
            for _ in range(asked.mib):
                out.write(os.urandom(1 << 20))
        for name in asked.cloud:
            cloud, servers, kind = Cloud(name), pids.get(name, []), types.get(name)
            if "api" in asked.measure:
                for row in measures.api(cloud, asked.seconds, servers, kind):
                    show(name, *row)
            if "bytes" in asked.measure:
                for row in measures.bytes_moved(cloud, file, servers):
                    show(name, *row)
            if "from-image" in asked.measure:
                for clients in (1, 16):
                    for row in measures.volume_from_image(
                        cloud, file, max(1, -(-asked.mib // 1024)), clients, servers, kind
                    ):
                        show(name, *row)


def show(cloud: str, measure: str, outcome: Outcome) -> None:
    """One row of the table."""
    cpu = "" if outcome.cpu_ms is None else f"{outcome.cpu_ms:.2f}"
    times = f"{outcome.rate:.2f} | {outcome.p50_ms:.1f} | {outcome.p99_ms:.1f} | {cpu}"
    print(f"| {measure} | {cloud} | {outcome.clients} | {times} | {outcome.failed} |", flush=True)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "--cloud", action="append", required=True, help="a cloud of clouds.yaml; several times for several"
    )
    parser.add_argument(
        "--pid", action="append", default=[], help="CLOUD=PID[,PID...]: its servers, to account their CPU time"
    )
    parser.add_argument("--type", action="append", default=[], help="CLOUD=TYPE: the volume type to use there")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each closed-loop measure")
    parser.add_argument("--mib", type=int, default=1024, help="size of the file that is uploaded")
    parser.add_argument(
        "--measure", action="append", choices=["api", "bytes", "from-image"], help="which; default: all"
    )
    asked = parser.parse_args()
    asked.measure = asked.measure or ["api", "bytes", "from-image"]
    return asked


if __name__ == "__main__":
    main()
