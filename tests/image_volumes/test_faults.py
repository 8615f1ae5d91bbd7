"""The known faults of images in volumes elsewhere, each shown not to be here (`docs/image-faults.md`)."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from moorage.client.wire import Refusal
from moorage.core.errors import Problem
from moorage.drivers.stores.volume import nbd, writer
from moorage.drivers.stores.volume.around import Around
from moorage.drivers.stores.volume.build import build
from moorage.drivers.stores.volume.settings import VolumeStoreSettings
from moorage.drivers.stores.volume.store import VolumeStore
from moorage.images.store import LocationRefused, ObjectUnavailable, StoreUnavailable
from tests.cloud import Cloud
from tests.conftest import state_directory
from tests.image_volumes import scene
from tests.image_volumes.scene import MIB, image_volume, random_bytes
from tests.patience import until

VERSION = {"openstack-api-version": "volume 3.54"}
DATA = random_bytes(12 * MIB + 777)


class Listening:
    """A session that remembers what was refused, and what was asked."""

    def __init__(self, inner) -> None:
        self.inner, self.refused, self.asked = inner, [], []

    def ask(self, service, method, path, body=None, **more):
        self.asked.append((method, path.partition("?")[0], body))
        try:
            return self.inner.ask(service, method, path, body, **more)
        except Refusal as refusal:
            self.refused.append(refusal)
            raise


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with state_directory() as state, scene.image_cloud(state) as cloud:
        yield cloud


@pytest.fixture
def other(cloud):
    """Makes stores such as further processes of this host have; each has its own attachments."""
    made: list[VolumeStore] = []

    def another(idle_s: int = 30) -> VolumeStore:
        session = Listening(cloud.app.inside)
        around = Around(host=cloud.app.config.host, ours=session)
        store = build("volumes", VolumeStoreSettings(idle_s=idle_s), around)
        store.session = session  # type: ignore[attr-defined]
        made.append(store)
        return store

    yield another
    for store in made:
        for volume in store.pool.held():
            store.pool.forget(volume)
        store.close()


@pytest.fixture
def name(cloud) -> Iterator[str]:
    """An object in the store, of `DATA`."""
    name = f"images/{os.urandom(4).hex()}/op-1"
    store = scene.store(cloud)
    written = store.create(name, len(DATA))
    written.write(DATA)
    written.commit()
    yield name
    store.delete(name)


def attachments(cloud: Cloud, volume: str) -> list[str]:
    path = f"/volume/v3/attachments?all_tenants=1&volume_id={volume}"
    return [row["id"] for row in cloud.call("GET", path, as_="moorage-admin", headers=VERSION).json["attachments"]]


def whole(store: VolumeStore, name: str) -> bytes:
    return b"".join(store.open(name))


def test_image_fault_c1_a_reader_that_ends_disconnects_nobody(other, name):
    one, two = other(), other()
    long, short = one.open(name), two.open(name)
    first = next(long)
    assert b"".join(short) == DATA
    two.pool.forget(two.volume(name))
    assert first + b"".join(long) == DATA


def test_image_fault_c2_any_number_of_readers_is_let_in_at_the_first_try(other, name):
    stores = [other() for _ in range(4)]
    with ThreadPoolExecutor(16) as readers:
        read = list(readers.map(lambda n: whole(stores[n % 4], name), range(16)))
    assert all(one == DATA for one in read)
    assert [store.session.refused for store in stores] == [[]] * 4
    for store in stores:
        posted = [path for method, path, _ in store.session.asked if (method, path) == ("POST", "/attachments")]
        assert len(posted) == 1, "one attachment for each process, however many read"


def test_image_fault_c2_readers_and_writers_of_other_images_do_not_wait_for_one_another(cloud, other, name):
    reader, busy = other(), scene.store(cloud)
    over = threading.Event()

    def write() -> None:
        for number in range(2):
            later = f"images/{os.urandom(4).hex()}/op-{number}"
            written = busy.create(later, None)
            written.write(DATA)
            written.commit()
            assert whole(busy, later) == DATA
            busy.delete(later)
        over.set()

    with ThreadPoolExecutor(17) as threads:
        writing = threads.submit(write)
        reading = [threads.submit(whole, reader, name) for _ in range(16)]
        assert all(one.result() == DATA for one in reading)
        writing.result()
    assert over.is_set() and reader.session.refused == []


def test_image_fault_c3_an_attachment_is_its_holder_s_and_nobody_counts(cloud, other, name):
    one, two = other(), other()
    volume = one.volume(name)
    assert whole(one, name) == whole(two, name) == DATA
    mine, theirs = one.pool.held()[volume], two.pool.held()[volume]
    assert set(attachments(cloud, volume)) >= {mine, theirs} and mine != theirs
    one.pool.forget(volume)
    left = attachments(cloud, volume)
    assert mine not in left and theirs in left
    assert whole(two, name) == DATA


def test_image_fault_c4_an_attachment_that_cannot_be_used_is_given_back(cloud, other, name, monkeypatch):
    store = other()
    volume = store.volume(name)
    before = set(attachments(cloud, volume))

    def broken(info):
        raise nbd.Broken("no way in")

    monkeypatch.setattr(store.pool._holder, "open", broken)
    with pytest.raises(ObjectUnavailable):
        whole(store, name)
    assert set(attachments(cloud, volume)) == before


def test_image_fault_c5_an_attachment_that_is_over_reaches_nothing_whatever_its_holder_does(other, name):
    store = other()
    holding = store.pool.take(store.volume(name), "ro")
    assert holding.connection.read(0, 4096).result() == DATA[:4096]
    store.service.detach(holding.attachment)  # and the connection is not closed
    with pytest.raises((nbd.Broken, nbd.Failed)):
        holding.connection.read(0, 4096).result()


def test_image_fault_c7_two_attachments_of_one_volume_do_not_share_a_connection(other, name):
    store = other()
    one, two = (store.pool.take(store.volume(name), "ro") for _ in range(2))
    assert one.attachment != two.attachment
    one.close()
    assert two.connection.read(0, 4096).result() == DATA[:4096]
    with pytest.raises(nbd.Failed):
        two.connection.write(0, b"x" * 512).result()
    two.close()


def test_image_fault_c8_what_has_no_known_length_grows_by_doubling(other, monkeypatch):
    monkeypatch.setattr(writer, "GIB", MIB)  # so that a volume counts as full early
    store, name = other(), f"images/{os.urandom(4).hex()}/op-1"
    written = store.create(name, None)
    for start in range(0, len(DATA), 300_000):
        written.write(DATA[start : start + 300_000])
    written.commit()
    grown = [body["os-extend"]["new_size"] for _, _, body in store.session.asked if body and "os-extend" in body]
    assert grown == [2, 4, 8, 16]
    assert whole(store, name) == DATA
    store.delete(name)


def test_image_fault_c8_a_known_length_is_made_in_one_step(other):
    store, name = other(), f"images/{os.urandom(4).hex()}/op-1"
    written = store.create(name, 3 << 30)
    written.write(DATA)
    written.abort()
    sizes = [body["volume"]["size"] for _, _, body in store.session.asked if body and "volume" in body]
    assert sizes == [3]
    assert not [body for _, _, body in store.session.asked if body and "os-extend" in body]


def test_image_fault_c9_a_volume_that_cannot_be_written_does_not_stay(cloud, other):
    store, image = other(), os.urandom(4).hex()
    name = f"images/{image}/op-1"
    written = store.create(name, len(DATA))
    written.write(DATA[: 4 * MIB])
    scene.kill_daemon(cloud, written.id)
    with pytest.raises(Problem):
        for _ in range(64):
            written.write(DATA)
        written.commit()
    written.abort()
    assert name not in store.names()
    until(lambda: not image_volume(cloud, image))


def test_image_fault_c10_an_image_that_is_being_read_is_deleted_and_its_reader_finishes(cloud, other):
    store, image = other(), os.urandom(4).hex()
    name = f"images/{image}/op-1"
    written = store.create(name, len(DATA))
    written.write(DATA)
    written.commit()
    chunks = store.open(name)
    first = next(chunks)
    store.delete(name)
    assert name not in store.names()
    assert first + b"".join(chunks) == DATA
    del chunks
    until(lambda: not image_volume(cloud, image))


def test_image_fault_c11_a_download_that_stalls_holds_no_attachment_and_goes_on(other, name):
    store = other(idle_s=1)
    chunks = store.open(name)
    first = next(chunks)
    assert store.pool.held()
    until(lambda: not store.pool.held())
    assert first + b"".join(chunks) == DATA


def test_image_fault_c12_what_is_in_a_volume_is_read_as_the_bytes_that_were_written(cloud, tmp_path):
    for data in (scene.qcow2(tmp_path, DATA), bytes(2 * MIB) + DATA + bytes(5 * MIB)):
        form = "qcow2" if data[:4] == b"QFI\xfb" else "raw"
        assert scene.file_of(cloud, scene.image(cloud, data, form)) == data


def test_image_fault_c12_a_volume_that_was_not_made_for_an_image_is_never_read(cloud):
    store = scene.store(cloud)
    mine = cloud.call("POST", "/volume/v3/volumes", {"volume": {"size": 1}}).json["volume"]["id"]
    for url in (f"cinder://volumes/{mine}", f"cinder://{mine}"):
        name = store.adopt(url)
        with pytest.raises(LocationRefused):
            store.open(name)
    for url in ("cinder://volumes/x", f"cinder://elsewhere/{mine}", f"rbd://{mine}", f"cinder://volumes/{mine}/.."):
        with pytest.raises(LocationRefused):
            store.adopt(url)


def test_image_fault_c13_a_server_s_attachment_on_the_same_host_is_another_one(cloud, other, name):
    store = other()
    chunks = store.open(name)
    first = next(chunks)
    assert scene.content(cloud, store.volume(name), 4096) == DATA[:4096]  # attached, read and detached beside it
    assert first + b"".join(chunks) == DATA


def test_a_stopped_block_storage_is_said_to_be_so(other, name):
    store = other()
    store.session.inner = type("Gone", (), {"ask": staticmethod(_unreachable)})
    with pytest.raises(StoreUnavailable):
        store.size(name)


def _unreachable(*words, **more):
    from moorage.client.wire import Unreachable

    raise Unreachable("Nobody answers.")


def test_image_lp_2054575_both_spellings_of_a_volume_s_place_are_understood(other, name):
    store = other()
    volume = store.volume(name)
    assert store.url(name) == f"cinder://volumes/{volume}"
    for url in (f"cinder://volumes/{volume}", f"cinder://{volume}"):
        adopted = store.adopt(url)
        assert (store.url(adopted), store.size(adopted)) == (f"cinder://volumes/{volume}", len(DATA))
        assert whole(store, adopted) == DATA
        store.delete(adopted)  # what others have made is theirs
    assert whole(store, name) == DATA
