"""
python -m tour.killed [--runs 20] [--seed N]: tours killed at random points, each followed by a whole one on the same
state.

Each run is killed (all processes of its state directory and the tour itself, SIGKILL) at a point that the printed seed
chooses; then nothing but `moorage down` and `moorage doctor --fix`, and the tour must hold there.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tour.image import debian
from tour.moorage import Moorage, kill_all
from tour.shell import Shell


def main() -> None:
    """Kill, repair, walk; as often as asked."""
    parser = argparse.ArgumentParser(prog="tour.killed", description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument(
        "--longest", type=float, default=45.0, help="seconds after which a tour is killed at the latest"
    )
    asked = parser.parse_args()
    print(f"seed {asked.seed}")
    points = random.Random(asked.seed)
    debian()
    failed = [n for n in range(1, asked.runs + 1) if not once(n, points.uniform(1.0, asked.longest))]
    print(f"{asked.runs - len(failed)} of {asked.runs} held" + (f"; not: {failed}" if failed else ""))
    sys.exit(bool(failed))


def once(n: int, after: float) -> bool:
    """One tour killed after so many seconds, and one that must hold."""
    state = Path(tempfile.mkdtemp(prefix="moorage-killed-", dir="/var/tmp"))
    state.chmod(0o711)
    log = state.with_name(state.name + ".tour")
    with log.open("ab") as out:
        tour = subprocess.Popen(
            [sys.executable, "-m", "tour", "--state", state], stdout=out, stderr=out, start_new_session=True
        )
        try:
            tour.wait(after)
        except subprocess.TimeoutExpired:
            os.killpg(tour.pid, signal.SIGKILL)
            tour.wait()
        moorage = Moorage(state)
        kill_all(moorage)
        shell = Shell()
        shell.run("moorage", "down", "--state", state, quiet=True)
        shell.run("moorage", "doctor", "--fix", "--state", state, quiet=True)
        held = (
            subprocess.run(
                [sys.executable, "-m", "tour", "--state", state], stdout=out, stderr=out, check=False
            ).returncode
            == 0
        )
    print(f"run {n}: killed after {after:.1f} s: " + ("held" if held else f"FAILED, see {log}"), flush=True)
    if held:
        shutil.rmtree(state, ignore_errors=True)
        for written in (log, moorage.log):
            written.unlink(missing_ok=True)
    return held


if __name__ == "__main__":
    main()
