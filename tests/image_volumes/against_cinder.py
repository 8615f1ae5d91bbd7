"""
The store of volumes against a real Cinder: `make cinder`, where `OS_*` variables say which and who asks.

`CINDER_TYPES` are two volume types there: one that does not allow multi-attach, and one that does; `CEPH_CONF` says
how RBD is reached. What is made there is deleted again.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from moorage.drivers.stores.volume.around import Around
from moorage.drivers.stores.volume.build import build
from moorage.drivers.stores.volume.settings import VolumeStoreSettings
from moorage.drivers.stores.volume.store import VolumeStore
from moorage.images.store import StoreUnavailable
from tests.contracts.stores.contract import NAME, StoreContract
from tests.image_volumes.scene import MIB, random_bytes
from tests.patience import until

if "OS_AUTH_URL" not in os.environ:
    pytest.skip("no OS_AUTH_URL says where Cinder is", allow_module_level=True)

SINGLE, SHARED = os.environ.get("CINDER_TYPES", "plain multiattach").split()
DATA = random_bytes(24 * MIB + 12_345)


def settings(type: str, **more: object) -> VolumeStoreSettings:
    asked: dict[str, object] = {
        "auth_url": os.environ["OS_AUTH_URL"],
        "username": os.environ["OS_USERNAME"],
        "project": os.environ["OS_PROJECT_NAME"],
        "secret_env": "OS_PASSWORD",
        "ceph_conf": os.environ.get("CEPH_CONF", "/etc/ceph/ceph.conf"),
        "volume_type": type,
        "idle_s": 2,
    }
    return VolumeStoreSettings(**{**asked, **more})  # type: ignore[arg-type]


def opened(id: str, folder: Path, type: str = SHARED, **more: object) -> VolumeStore:
    around = Around(host="here", ours=None, folder=folder)  # type: ignore[arg-type]
    return build(id, settings(type, **more), around)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., VolumeStore]]:
    """Makes stores as processes of one host have them; what is in them goes."""
    made: list[VolumeStore] = []

    def store(type: str = SHARED, id: str = "campaign", **more: object) -> VolumeStore:
        made.append(opened(id, tmp_path / "held", type, **more))
        return made[-1]

    yield store
    for one in made:
        one.pool.close()
    for one in made:
        clear(one)


def clear(store: VolumeStore) -> None:
    for name in store.names():
        store.delete(name)
    until(lambda: not rest(store), 90)


def rest(store: VolumeStore) -> list[str]:
    rows = store.service.marked("moorage_store", store.id)
    for row in rows:
        if row["status"] not in ("deleting", "in-use"):
            store.service.delete(row["id"])
    return [row["id"] for row in rows]


def put(store: VolumeStore, size: int | None = len(DATA), name: str = NAME) -> str:
    written = store.create(name, size)
    written.write(DATA)
    written.commit()
    return store.volume(name)


def whole(store: VolumeStore, name: str = NAME) -> bytes:
    return b"".join(store.open(name))


class TestContract(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        store = opened("contract", tmp_path / "held")
        yield store
        store.pool.close()
        clear(store)

    @pytest.fixture
    def small_store(self):
        pytest.skip("the least volume has 1 GiB")


@pytest.mark.parametrize("type", [SINGLE, SHARED])
@pytest.mark.parametrize("size", [len(DATA), None])
def test_an_image_is_written_read_and_deleted(make, type, size):
    store = make(type)
    store.probe()
    volume = put(store, size)
    row = store.service.find(volume)
    assert row["metadata"]["glance_image_id"] == "8a1c" and row["metadata"]["image_size"] == str(len(DATA))
    assert row["metadata"]["readonly"] == "True"
    assert whole(store) == DATA
    store.delete(NAME)
    assert store.names() == frozenset()
    until(lambda: store.service.find(volume) is None, 60)


def test_sixteen_readers_of_one_process_have_one_attachment(make):
    store = make(SINGLE)
    volume = put(store)
    with ThreadPoolExecutor(16) as readers:
        assert all(read == DATA for read in readers.map(lambda _: whole(store), range(16)))
        assert len(store.service.attachments(volume)) <= 1


def test_sixteen_readers_of_four_processes_all_read(make):
    stores = [make(SHARED) for _ in range(4)]
    put(stores[0])
    with ThreadPoolExecutor(16) as readers:
        assert all(read == DATA for read in readers.map(lambda n: whole(stores[n % 4]), range(16)))


def test_a_refusal_that_passes_by_itself_is_met_with_patience(make):
    """The type lets one process read at a time: the second asks again until the first has let go."""
    one, two = make(SINGLE, idle_s=3), make(SINGLE)
    put(one)
    assert whole(one) == DATA and one.pool.held()
    begun = time.monotonic()
    assert whole(two) == DATA
    assert time.monotonic() - begun > 1.0, "it was refused at first"


def test_a_refusal_that_does_not_pass_is_not_hidden(make):
    one, two = make(SINGLE, idle_s=600), make(SINGLE, attach_tries=1)
    put(one)
    assert whole(one) == DATA
    with pytest.raises(StoreUnavailable, match="to reserve"):
        whole(two)


DYING = """
import sys, threading; from pathlib import Path
sys.path.insert(0, {root!r})
from tests.image_volumes.against_cinder import NAME, DATA, SHARED, opened
store = opened("campaign", Path({folder!r}))
if {writing}:
    written = store.create(NAME, 1 << 24); written.write(bytes(range(256)) * 8192)
else:
    chunks = store.open(NAME); next(chunks)
print("now", flush=True); threading.Event().wait()
"""


def die(folder: Path, writing: bool) -> None:
    """A process writes or reads, and is killed in the middle."""
    root = str(Path(__file__).parents[2])
    script = DYING.format(root=root, folder=str(folder), writing=writing)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"now\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_a_writer_that_is_killed_leaves_what_a_delete_finds(make, tmp_path):
    store = make()
    die(tmp_path / "held", writing=True)
    assert store.names() == {NAME}
    (row,) = store.service.called("image-8a1c")
    store.delete(NAME)
    assert store.names() == frozenset()
    until(lambda: store.service.find(row["id"]) is None, 60)


def test_a_reader_that_is_killed_is_cleared_away(make, tmp_path):
    store = make()
    volume = put(store)
    die(tmp_path / "held", writing=False)
    (left,) = [row["id"] for row in store.service.attachments(volume)]
    store.probe()
    until(lambda: left not in [row["id"] for row in store.service.attachments(volume)], 60)
    assert whole(store) == DATA
