"""python -m tour [--state DIR] [--image FILE]: walk through all stations; exit status 0 only if everything held."""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tour import steps
from tour.image import debian
from tour.moorage import Moorage, kill_all


def main() -> None:
    """Walk."""
    parser = argparse.ArgumentParser(prog="tour", description=__doc__)
    parser.add_argument("--state", type=Path, help="state directory; default: an empty one, removed at the end")
    parser.add_argument(
        "--image", type=Path, help="a qcow2 image of a Debian root file system; default: one is built and kept"
    )
    parser.add_argument("--port", type=int, help="port that Moorage listens on; default: a free one")
    parser.add_argument(
        "--clients-port", type=int, help="port that clients are sent to: of a recorder in front of Moorage"
    )
    asked = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("the tour mounts file systems: run it as root")
    image = asked.image or debian()
    state = asked.state or Path(tempfile.mkdtemp(prefix="moorage-tour-", dir="/var/tmp"))
    state.mkdir(mode=0o711, exist_ok=True)
    state.chmod(0o711)
    began, moorage = time.monotonic(), Moorage(state, asked.port, asked.clients_port)
    try:
        walk(moorage, image)
    finally:
        if asked.state is None:
            kill_all(moorage)
            shutil.rmtree(state, ignore_errors=True)
    print(f"\nThe tour is over: everything held ({time.monotonic() - began:.0f} s).")


def walk(moorage: Moorage, image: Path) -> None:
    """All stations."""
    moorage.up()
    steps.tidy(moorage)
    steps.look_around(moorage)
    steps.bring_an_image(moorage, image)
    steps.say("A volume is made from it")
    steps.make_a_volume(moorage, "root")
    steps.use_it(moorage)
    steps.share_it(moorage)
    steps.survive(moorage)
    steps.leave_nothing(moorage)


if __name__ == "__main__":
    main()
