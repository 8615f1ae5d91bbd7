"""A volume becomes an image in a store of volumes: a volume of the store's own, by a clone or, otherwise, a copy."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.config import StoreSettings
from moorage.images.settings import ImageSettings
from tests.cloud import running
from tests.flows.uploads import GIB, Uploads, md5

DATA = b"in a volume" * 1000
FAR = 300 << 20


def test_a_volume_is_copied_into_a_volume_of_the_store(state_dir: Path) -> None:
    stores = (StoreSettings(default=True), StoreSettings(id="vols", kind="volume"))
    with running(state_dir, stores=stores, images=ImageSettings(hash_rate_mib=0)) as cloud:
        uploads = Uploads(cloud)
        volume = uploads.volume()
        uploads.write(volume, DATA, 300 << 20)
        image = uploads.upload(volume, disk_format="qcow2", headers={"Moorage-Store": "vols"})["image_id"]
        uploads.until(lambda: uploads.image(image)["status"] != "saving", 90)
        shown = uploads.image(image)
        assert (shown["status"], shown["stores"], shown["checksum"] is not None) == ("active", "vols", True)
        uploads.until(lambda: uploads.status(volume) == "available")
        uploads.delete_volume(volume)
        made = uploads.volume(imageRef=image)
        held = uploads.attach(made, "ro")
        with uploads.client(held) as nbd:
            assert nbd.pread(len(DATA), 300 << 20) == DATA
        uploads.detach(held)
        uploads.until(lambda: uploads.status(made) == "available")
        uploads.delete_volume(made)
        uploads.delete_image(image)
        uploads.until(lambda: uploads.rows()["locations"] == 0, 60)


@pytest.fixture
def slow(state_dir: Path, database_url: str) -> Iterator[Uploads]:
    """A cloud that keeps images in volumes and takes long to hash them."""
    stores = (StoreSettings(id="vols", kind="volume", default=True), StoreSettings())
    with running(state_dir, database_url, stores=stores, images=ImageSettings(hash_rate_mib=1)) as cloud:
        yield Uploads(cloud)


def nothing_is_left(uploads: Uploads) -> None:
    uploads.until(lambda: uploads.rows() == {"layers": 0, "locations": 0, "open": 0}, 60)
    assert uploads.all_bytes() == set()
    assert uploads.quota_is_exact()


@pytest.mark.parametrize("used", [False, True])
def test_it_is_an_image_at_once_by_a_volume_of_the_stores_own(slow: Uploads, used: bool) -> None:
    volume = slow.volume()
    slow.write(volume, DATA, FAR)
    held = slow.attach(volume) if used else None
    image = slow.upload(volume, force=used)["image_id"]
    shown = slow.image(image)
    assert (shown["status"], shown["stores"], shown["size"], shown["virtual_size"]) == ("active", "vols", GIB, GIB)
    assert (shown["checksum"], shown["os_hash_algo"], shown["os_hash_value"]) == (None, None, None)
    assert slow.status(volume) == ("in-use" if used else "available")
    if held is not None:
        with slow.client(held) as nbd:
            nbd.pwrite(b"later" * 1000, FAR)
            nbd.flush()
        slow.detach(held)
        slow.until(lambda: slow.status(volume) == "available")
    else:
        slow.write(volume, b"later" * 1000, FAR)
    assert slow.data(image, FAR, FAR + len(DATA) - 1) == DATA
    made = slow.volume(imageRef=image)
    slow.delete_volume(volume)
    slow.delete_image(image)
    reader = slow.attach(made, "ro")
    with slow.client(reader) as nbd:
        assert nbd.pread(len(DATA), FAR) == DATA
    slow.detach(reader)
    slow.until(lambda: slow.status(made) == "available")
    slow.delete_volume(made)
    nothing_is_left(slow)


def test_what_would_be_refused_as_an_upload_is_no_image_in_a_volume_either(slow: Uploads) -> None:
    volume = slow.volume()
    slow.write(volume, b"QFI\xfb\0\0\0\3" + bytes(504))
    reply = slow.ask(volume)
    assert reply.status == 400 and b"qcow2" in reply.body
    assert slow.status(volume) == "available"
    assert slow.cloud.call("GET", "/image/v2/images").json["images"] == []
    slow.delete_volume(volume)
    nothing_is_left(slow)


def test_the_hashes_of_such_an_image_are_those_of_its_bytes(state_dir: Path) -> None:
    stores = (StoreSettings(id="vols", kind="volume", default=True), StoreSettings())
    with running(state_dir, stores=stores, images=ImageSettings(hash_rate_mib=0)) as cloud:
        uploads = Uploads(cloud)
        volume = uploads.volume()
        uploads.write(volume, DATA, FAR)
        image = uploads.upload(volume)["image_id"]
        assert uploads.hashed(image)["checksum"] == md5({FAR: DATA})
