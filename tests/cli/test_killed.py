"""Everything of Moorage is killed at once, at a random moment; `down` and `doctor --fix` leave a whole cloud."""

import contextlib
import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from moorage.drivers.connectors import machine
from tests.cli.host import Host
from tests.server import down

pytestmark = [pytest.mark.root, pytest.mark.slow]

SEEDS = [int(seed) for seed in os.environ.get("MOORAGE_TEST_SEEDS", "1 2 3").split()]


def kill_everything(host: Host) -> None:
    """SIGKILL to the server, and to all daemons, gates and nbdfuse processes of its state directory."""
    host.server.kill()
    pids = [p.identity.pid for p in machine.programs("nbdfuse") if any(str(host.place.sockets) in w for w in p.words)]
    for record in (host.state / "run" / "daemons").glob("*.json"):
        with contextlib.suppress(OSError, ValueError):
            pids += _pids(json.loads(record.read_text()))
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _pids(found: object) -> list[int]:
    """The pids of all identities in a record."""
    if isinstance(found, dict):
        own = [found["pid"]] if {"pid", "start", "boot"} <= found.keys() else []
        return own + [pid for value in found.values() for pid in _pids(value)]
    return []


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_left_and_everything_works_again(host: Host, seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    mounted, others = host.server.volume(f"mounted-{seed}"), [host.server.volume(f"other-{seed}-{n}") for n in range(3)]
    device = host.run("attach", mounted)
    assert os.system(f"mkfs.ext4 -q {device} && mount {device} {tmp_path}") == 0
    host.server.attach(others[0])
    busy = [host.start("attach", volume) for volume in others[1:]]
    time.sleep(chance.uniform(0.2, 2.0))
    kill_everything(host)
    for process in busy:
        process.communicate(timeout=120)
    down(host.state)
    host.run("doctor", "--fix")
    host.run("doctor")
    assert (host.left(), os.path.ismount(tmp_path)) == ([], False)
    host.server = type(host.server)(host.state).ready()
    for volume in (mounted, *others):
        host.settled(volume)
        for attachment in host.attachments(volume):
            host.run("detach", attachment["id"], "--force")
        host.server.until(f"/volume/v3/volumes/{volume}", "available")
        host.run("attach", volume)
        host.run("detach", volume)
    host.run("doctor")
    assert host.left() == []
