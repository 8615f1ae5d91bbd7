"""Machines on volumes whose bytes have not come, while Moorage is killed, stays away for a while, and comes back."""

import http.client
import random
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from moorage.volumes.backend import Connection
from tests.drivers.clients import ClientError, client
from tests.flows.far import DATA, SIZE, same, until
from tests.patience import set_in_the_end
from tests.server import CONNECTOR, Process, down

CONFIG = """
[volumes]
hydration_mib_per_s = {rate}
fault_patience_s = 2

[[stores]]
id = "near"

[[stores]]
id = "far"
path = "{far}"
"""


@pytest.fixture
def state(state_dir: Path) -> Iterator[Path]:
    (state_dir / "elsewhere").mkdir()
    configure(state_dir, rate=1)
    yield state_dir
    down(state_dir)


def configure(state: Path, rate: int) -> None:
    (state / "moorage.toml").write_text(CONFIG.format(rate=rate, far=state / "elsewhere"))


def image(moorage: Process) -> str:
    """An image of `DATA` in the store out of reach."""
    body = {"name": "i", "disk_format": "raw", "container_format": "bare"}
    id = str(moorage.call("POST", "/image/v2/images", body).json["id"])
    headers = {"X-Auth-Token": moorage.token(), "Content-Type": "application/octet-stream", "X-Image-Meta-Store": "far"}
    connection = http.client.HTTPConnection("127.0.0.1", moorage.port, timeout=90)
    connection.request("PUT", f"/image/v2/images/{id}/file", DATA, headers)
    assert connection.getresponse().status == 204
    connection.close()
    return id


@contextmanager
def attached(moorage: Process, tmp_path: Path) -> Iterator[Any]:
    """A client of a new volume of such an image."""
    asked = {"volume": {"size": 1, "imageRef": image(moorage)}}
    volume = moorage.call("POST", "/volume/v3/volumes", asked).json["volume"]["id"]
    moorage.until(f"/volume/v3/volumes/{volume}", "available")
    body = {"attachment": {"volume_uuid": volume, "connector": CONNECTOR}}
    made = moorage.call("POST", "/volume/v3/attachments", body).json["attachment"]
    info, key = made["connection_info"], tmp_path / "key"
    key.write_text(f"{made['id']}:{info['tls_psk']}\n")
    with client(Connection(info["uri"]), key) as nbd:
        yield nbd


def test_a_kill_and_a_pause_are_nothing_but_slow_to_a_machine(state: Path, tmp_path: Path) -> None:
    first, stop = Process(state).ready(), threading.Event()

    def read(nbd: Any) -> int:
        dice, count = random.Random(1), 0
        while not stop.is_set():
            at = dice.randrange(SIZE - 4096)
            assert nbd.pread(4096, at) == DATA[at : at + 4096]
            count += 1
        return count

    with attached(first, tmp_path) as nbd, ThreadPoolExecutor(1) as other, set_in_the_end(stop):
        first.kill()
        reader = other.submit(read, nbd)
        time.sleep(4)  # longer than a source that fails is waited for
        assert not reader.done()
        configure(state, rate=0)
        second = Process(state).ready()
        until(lambda: not list((state / "run/copies").glob("*.json")))  # whole, and read as a file
        shutil.rmtree(state / "elsewhere")
        second.kill()
        stop.set()
        assert reader.result(60)
        same(nbd)


def test_down_waits_for_nothing_that_cannot_come(state: Path, tmp_path: Path) -> None:
    first = Process(state).ready()
    with attached(first, tmp_path) as nbd, ThreadPoolExecutor(1) as other:
        first.kill()
        shutil.rmtree(state / "elsewhere")
        late = other.submit(nbd.pread, 4096, SIZE - 4096)
        time.sleep(0.5)
        assert "everything is stopped" in down(state)
        with pytest.raises(ClientError):
            late.result(60)
