"""
Stores of volumes in another cloud's Block Storage, over HTTP, with credentials of their own.

The other cloud is a Moorage here, which a stranger reaches through TLS. The same against a real Cinder: `make cinder`.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.drivers.stores.volume.around import Around
from moorage.drivers.stores.volume.build import build
from moorage.drivers.stores.volume.settings import VolumeStoreSettings
from moorage.drivers.stores.volume.store import VolumeStore
from moorage.images.store import StoreMisconfigured, StoreUnavailable
from tests import server
from tests.conftest import state_directory
from tests.image_volumes.scene import MIB, random_bytes
from tests.patience import until
from tests.server import Process

DATA = random_bytes(6 * MIB + 99)
NAME = "images/8a1c/op-1"
VERSION = {"openstack-api-version": "volume 3.54"}


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Process]:
    with state_directory() as state:
        process = Process(state).ready()
        yield process
        process.end()
        server.down(state)


@pytest.fixture
def make(elsewhere: Process, tmp_path: Path) -> Iterator[object]:
    made: list[VolumeStore] = []

    def store(id: str = "far", who: str = "demo", **more: object) -> VolumeStore:
        asked = {
            "auth_url": f"http://127.0.0.1:{elsewhere.port}/identity/v3",
            "username": who,
            "project": who,
            "secret_file": str(elsewhere.state / "keys" / f"{who}.password"),
            "volume_type": "multiattach",
            "idle_s": 30,
        }
        settings = VolumeStoreSettings(**{**asked, **more})
        around = Around(host="here", ours=None, folder=tmp_path / "held")  # type: ignore[arg-type]
        made.append(build(id, settings, around))
        return made[-1]

    yield store
    for one in made:
        one.close()


def put(store: VolumeStore, name: str = NAME) -> None:
    written = store.create(name, None)
    written.write(DATA)
    written.commit()


def test_an_image_is_written_and_read_through_doors_with_tls(make):
    store = make()
    store.probe()
    put(store)
    assert store.names() == {NAME} and store.size(NAME) == len(DATA)
    assert b"".join(store.open(NAME)) == DATA
    assert b"".join(store.open(NAME, 5, 2 * MIB)) == DATA[5 : 5 + 2 * MIB]
    store.delete(NAME)
    assert store.names() == frozenset()


def test_image_fault_c6_every_store_asks_with_its_own_credentials(make):
    one, two = make("one", "demo"), make("two", "service")
    put(one)
    put(two)
    owners = {s.service.find(s.volume(NAME))["user_id"] for s in (one, two)}
    assert len(owners) == 2
    assert (one.names(), two.names()) == ({NAME}, {NAME})
    assert one.service.find(two.volume(NAME)) is None, "what another user has is not this one's to see"
    for store in (one, two):
        assert b"".join(store.open(NAME)) == DATA
        store.delete(NAME)


def test_a_reader_that_is_killed_is_cleared_away_by_the_next_process(make, elsewhere, tmp_path):
    store = make()
    put(store)
    volume = store.volume(NAME)
    script = (
        "import sys, threading; from pathlib import Path\n"
        "from moorage.drivers.stores.volume.around import Around\n"
        "from moorage.drivers.stores.volume.build import build\n"
        "from moorage.drivers.stores.volume.settings import VolumeStoreSettings\n"
        f"s = build('far', VolumeStoreSettings(auth_url='http://127.0.0.1:{elsewhere.port}/identity/v3', "
        f"username='demo', project='demo', secret_file='{elsewhere.state}/keys/demo.password'), "
        f"Around(host='here', ours=None, folder=Path('{tmp_path}/held')))\n"
        f"c = s.open('{NAME}'); next(c); print(s.pool.held(), flush=True); threading.Event().wait()\n"
    )
    reader = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert reader.stdout is not None and volume.encode() in reader.stdout.readline()
    held = [row["id"] for row in store.service.attachments(volume)]
    os.kill(reader.pid, signal.SIGKILL)
    reader.wait()
    store.probe()
    until(lambda: not set(held) & {row["id"] for row in store.service.attachments(volume)})
    assert b"".join(store.open(NAME)) == DATA
    store.delete(NAME)


def test_a_secret_that_is_not_there_is_said_at_once(make):
    with pytest.raises(StoreMisconfigured):
        make(secret_file="/nonexistent")
    with pytest.raises(StoreMisconfigured):
        make(secret_file="")


def test_a_service_that_is_not_there_or_refuses_is_unavailable(make):
    for wrong in ({"auth_url": "http://127.0.0.1:9/v3"}, {"project": "admin"}, {"volume_type": "none"}):
        with pytest.raises(StoreUnavailable):
            make(**wrong).probe()
