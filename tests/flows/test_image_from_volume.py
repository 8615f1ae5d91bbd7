"""A volume becomes an image: at once where the store can show its bytes, by a copy elsewhere; nothing is left over."""

import hashlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from moorage.images.settings import ImageSettings
from moorage.volumes import layers
from tests.cloud import running
from tests.flows.uploads import GIB, Uploads, V, md5

FIRST, LATER, LAST = b"first" * 1000, b"later" * 1000, b"last." * 1000
FAR = 700 << 20


@pytest.fixture
def quick(state_dir: Path) -> Iterator[Uploads]:
    """A cloud that hashes as fast as it can."""
    with running(state_dir, images=ImageSettings(hash_rate_mib=0)) as cloud:
        yield Uploads(cloud)


@pytest.fixture
def slow(state_dir: Path, database_url: str) -> Iterator[Uploads]:
    """A cloud that takes long to hash, so that images stay as they are at first."""
    with running(state_dir, database_url, images=ImageSettings(hash_rate_mib=1)) as cloud:
        yield Uploads(cloud)


def nothing_is_left(uploads: Uploads) -> None:
    uploads.until(lambda: uploads.rows() == {"layers": 0, "locations": 0, "open": 0})
    assert uploads.all_bytes() == set()
    assert uploads.quota_is_exact()


def test_it_is_active_at_once_without_hashes_that_nobody_has_computed(slow: Uploads) -> None:
    volume = slow.volume()
    slow.write(volume, FIRST, FAR)
    answer = slow.upload(volume)
    assert (answer["status"], answer["disk_format"], answer["container_format"]) == ("uploading", "raw", "bare")
    assert (answer["visibility"], answer["protected"], answer["image_name"]) == ("private", False, "made of a volume")
    image = slow.image(answer["image_id"])
    assert (image["status"], image["size"], image["virtual_size"], image["min_disk"]) == ("active", GIB, GIB, 1)
    assert (image["checksum"], image["os_hash_algo"], image["os_hash_value"]) == (None, None, None)
    assert slow.status(volume) == "available"
    assert slow.data(image["id"], FAR, FAR + len(FIRST) - 1) == FIRST
    whole = slow.cloud.call("GET", f"/image/v2/images/{image['id']}/file", headers={"range": "bytes=0-9"})
    assert "content-md5" not in whole.headers
    why = slow.cloud.call("GET", f"/moorage/v1/why/image/{image['id']}").json["why"]
    assert why["sentence"] == "Its bytes are there; its hashes are being computed, and it shows none until then."


def test_what_is_written_later_is_in_the_volume_alone(slow: Uploads) -> None:
    volume = slow.volume()
    slow.write(volume, FIRST)
    one = slow.upload(volume)["image_id"]
    slow.write(volume, LATER)
    two = slow.upload(volume)["image_id"]
    slow.write(volume, LAST)
    assert slow.data(one, 0, len(FIRST) - 1) == FIRST
    assert slow.data(two, 0, len(LATER) - 1) == LATER
    held = slow.attach(volume)
    with slow.client(held) as nbd:
        assert nbd.pread(len(LAST), 0) == LAST
    slow.detach(held)


@pytest.mark.parametrize("order", ["volume first", "images first", "the older image, the volume, the other"])
def test_whichever_goes_last_takes_the_bytes_along(slow: Uploads, order: str) -> None:
    volume = slow.volume()
    slow.write(volume, FIRST)
    one = slow.upload(volume)["image_id"]
    slow.write(volume, LATER)
    two = slow.upload(volume)["image_id"]
    if order == "volume first":
        slow.delete_volume(volume)
        assert slow.data(one, 0, len(FIRST) - 1) == FIRST
        assert slow.data(two, 0, len(LATER) - 1) == LATER
        slow.delete_image(one)
        assert slow.data(two, 0, len(LATER) - 1) == LATER
        assert slow.data(two, FAR, FAR + 9) == bytes(10)
        slow.delete_image(two)
    elif order == "images first":
        slow.delete_image(two)
        slow.delete_image(one)
        held = slow.attach(volume)
        with slow.client(held) as nbd:
            assert nbd.pread(len(LATER), 0) == LATER
        slow.detach(held)
        slow.until(lambda: slow.status(volume) == "available")
        slow.delete_volume(volume)
    else:
        slow.delete_image(one)
        slow.delete_volume(volume)
        assert slow.data(two, 0, len(LATER) - 1) == LATER
        slow.delete_image(two)
    nothing_is_left(slow)


def test_volumes_lie_on_such_an_image_like_on_any_other(slow: Uploads) -> None:
    source = slow.volume()
    slow.write(source, FIRST)
    slow.upload(source)
    slow.write(source, LATER, FAR)
    image = slow.upload(source)["image_id"]  # a view: its layer has a parent
    made = slow.volume(imageRef=image)
    shown = slow.cloud.call("GET", f"/volume/v3/volumes/{made}", headers=V).json["volume"]["volume_image_metadata"]
    assert shown["image_id"] == image and "checksum" not in shown
    slow.delete_volume(source)
    slow.delete_image(image)
    held = slow.attach(made)
    with slow.client(held) as nbd:
        assert nbd.pread(len(FIRST), 0) == FIRST
        assert nbd.pread(len(LATER), FAR) == LATER
    slow.detach(held)
    slow.until(lambda: slow.status(made) == "available")
    for listed in slow.cloud.call("GET", "/image/v2/images").json["images"]:
        slow.delete_image(listed["id"])
    slow.delete_volume(made)
    nothing_is_left(slow)


def test_the_hashes_are_those_of_the_bytes(quick: Uploads) -> None:
    volume = quick.volume()
    quick.write(volume, FIRST, FAR)
    quick.delete_image(quick.upload(volume)["image_id"])
    quick.write(volume, LATER, 5)
    image = quick.hashed(quick.upload(volume)["image_id"])  # a view: its layer has a parent
    assert image["checksum"] == md5({5: LATER, FAR: FIRST})
    assert (image["os_hash_algo"], len(image["os_hash_value"])) == ("sha512", 128)
    known = quick.digests(image["id"])
    assert known is not None and len(known) == 32 * 256
    assert known[-32:] == hashlib.sha256(bytes(4 << 20)).digest()
    assert known[:32] == hashlib.sha256(bytes(5) + LATER + bytes((4 << 20) - 5 - len(LATER))).digest()
    assert quick.row(image["id"])["read_as"] == "raw"


def test_a_deleted_image_is_not_hashed_on(slow: Uploads) -> None:
    volume = slow.volume()
    slow.delete_image(slow.upload(volume)["image_id"])
    slow.delete_volume(volume)
    nothing_is_left(slow)


def test_a_volume_in_use_needs_force_and_is_as_it_was_at_one_moment(slow: Uploads) -> None:
    volume = slow.volume()
    held = slow.attach(volume)
    with slow.client(held) as nbd:
        nbd.pwrite(FIRST, 0)
        refused = slow.ask(volume)
        assert refused.status == 400 and held in refused.body.decode()
        image = slow.upload(volume, force=True)["image_id"]
        nbd.pwrite(LATER, 0)
        assert slow.data(image, 0, len(FIRST) - 1) == FIRST
        assert (slow.image(image)["status"], slow.status(volume)) == ("active", "in-use")
        copied = slow.upload(volume, force=True, disk_format="qcow2")["image_id"]
        nbd.pwrite(LAST, 0)
        assert slow.status(volume) == "in-use"
        slow.until(lambda: slow.image(copied)["status"] == "active")
        assert nbd.pread(len(LAST), 0) == LAST
    slow.detach(held)
    made = slow.volume(imageRef=copied)
    reading = slow.attach(made)
    with slow.client(reading) as nbd:
        assert nbd.pread(len(LATER), 0) == LATER
    slow.detach(reading)
    for id in (made, volume):
        slow.until(lambda id=id: slow.status(id) == "available")
        slow.delete_volume(id)
    for id in (image, copied):
        slow.delete_image(id)
    nothing_is_left(slow)


FORMATS = ["qcow2", "vmdk", "vdi", "vhd", "vhdx", "ploop"]


@pytest.mark.parametrize("disk_format", FORMATS)
def test_other_formats_are_copied_and_hold_what_the_volume_held(quick: Uploads, disk_format: str) -> None:
    volume = quick.volume()
    quick.write(volume, FIRST, FAR)
    answer = quick.upload(volume, disk_format=disk_format, visibility="shared", protected="false")
    image = answer["image_id"]
    quick.until(lambda: quick.image(image)["status"] in ("active", "gone"), 90)
    found = quick.image(image)
    assert (found["status"], found["disk_format"], found["visibility"]) == ("active", disk_format, "shared")
    data = quick.cloud.call("GET", f"/image/v2/images/{image}/file").body
    assert hashlib.md5(data).hexdigest() == found["checksum"]
    assert found["size"] == len(data) < GIB // 8
    quick.until(lambda: quick.status(volume) == "available")
    if disk_format == "ploop":
        body = {"volume": {"size": 1, "imageRef": image}}
        refused = quick.cloud.call("POST", "/volume/v3/volumes", body)
        assert (refused.status, "of the format ploop" in str(refused.json)) == (400, True)
    else:
        assert found["virtual_size"] == GIB
        made = quick.volume(imageRef=image)
        held = quick.attach(made, "ro")
        with quick.client(held) as nbd:
            assert nbd.pread(len(FIRST), FAR) == FIRST
        quick.detach(held)
        quick.until(lambda: quick.status(made) == "available")
        quick.delete_volume(made)
    quick.delete_volume(volume)
    quick.delete_image(image)
    nothing_is_left(quick)


def test_a_copy_that_fails_leaves_no_image_and_the_volume_as_it_was(
    slow: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = slow.volume()

    def broken(*_: Any, **__: Any) -> Any:
        raise OSError("no")

    monkeypatch.setattr(slow.rooms.backends["files"], "pour", broken)
    image = slow.upload(volume, disk_format="qcow2")["image_id"]
    slow.until(lambda: slow.image(image)["status"] == "gone")
    slow.until(lambda: slow.status(volume) == "available")
    told = slow.cloud.call("GET", f"/moorage/v1/why/image/{image}").json["why"]
    assert told["state"] == "deleted"
    slow.delete_volume(volume)
    nothing_is_left(slow)


def test_an_image_deleted_while_it_is_copied_ends_the_copy(slow: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = slow.volume()
    backend = slow.rooms.backends["files"]

    def endless(layer: Any, format: str, to: str, check: Any) -> Any:
        while True:
            check()
            time.sleep(0.05)

    monkeypatch.setattr(backend, "pour", endless)
    image = slow.upload(volume, disk_format="vdi")["image_id"]
    assert slow.status(volume) == "uploading"
    told = slow.cloud.call("GET", f"/moorage/v1/why/volume/{volume}").json["why"]
    assert (told["state"], told["operation"]["what"]) == ("uploading", "copy-volume-to-image")
    attach = slow.cloud.call("POST", "/volume/v3/attachments", {"attachment": {"volume_uuid": volume}}, headers=V)
    assert attach.status == 400
    slow.delete_image(image)
    slow.until(lambda: slow.status(volume) == "available")
    slow.delete_volume(volume)
    nothing_is_left(slow)


def test_a_disguised_disk_is_no_image(slow: Uploads) -> None:
    """A qcow2 header with a backing file at the beginning of a raw volume: refused as it is as an upload."""
    volume = slow.volume()
    name = b"/etc/passwd"
    header = b"QFI\xfb" + (3).to_bytes(4, "big") + (104).to_bytes(8, "big") + len(name).to_bytes(4, "big")
    header += (16).to_bytes(4, "big") + GIB.to_bytes(8, "big") + bytes(72) + name
    slow.write(volume, header)
    refused = slow.ask(volume)
    assert refused.status == 400, refused.body
    assert "qcow2" in refused.body.decode()
    assert slow.cloud.call("GET", "/image/v2/images").json["images"] == []
    slow.until(lambda: slow.status(volume) == "available")
    slow.delete_volume(volume)
    nothing_is_left(slow)


def test_a_chain_that_is_too_long_is_copied(quick: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "DEEPEST_CHAIN", 1)
    volume = quick.volume()
    quick.write(volume, FIRST, FAR)
    image = quick.upload(volume)["image_id"]
    assert quick.image(image)["status"] == "saving"
    quick.until(lambda: quick.image(image)["status"] == "active", 90)
    assert quick.image(image)["checksum"] == md5({FAR: FIRST})
    quick.until(lambda: quick.status(volume) == "available")


def test_image_and_volume_deleted_at_the_same_time_leave_nothing(slow: Uploads) -> None:
    for _ in range(4):
        volume = slow.volume()
        made = [slow.upload(volume)["image_id"] for _ in range(3)]
        start = threading.Barrier(4)

        def delete(path: str, start: threading.Barrier = start) -> int:
            start.wait(20)
            return slow.cloud.call("DELETE", path, headers=V).status

        paths = [f"/volume/v3/volumes/{volume}", *(f"/image/v2/images/{id}" for id in made)]
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(delete, paths)) == [202, 204, 204, 204]
        slow.until(lambda volume=volume: slow.status(volume) == "gone")
        nothing_is_left(slow)


def test_doctor_finds_nothing_wrong_with_it(slow: Uploads) -> None:
    volume = slow.volume()
    slow.upload(volume)
    slow.upload(volume)
    report = slow.cloud.call("POST", "/moorage/v1/doctor", {"fix": True}, as_=None, local=True).json["doctor"]
    assert report["findings"] == []
