"""Imports into stores that unpack and convert: the record tells of the final bytes, and a failure leaves nothing."""

import gzip
import hashlib
import lzma
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from backports import zstd

from tests.patience import until
from tests.safety.ways import Scene, scene

MIB = 1 << 20

pytestmark = pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed")


def disk() -> bytes:
    dice = random.Random(7)
    return dice.randbytes(MIB) + bytes(2 * MIB) + dice.randbytes(MIB)


def made(folder: Path, kind: str) -> bytes:
    """The disk as QEMU writes it in this format."""
    plain, out = folder / "plain", folder / f"disk.{kind}"
    plain.write_bytes(disk())
    words = ("-o", "force_size=on") if kind == "vpc" else ()
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", kind, *words, plain, out], check=True, timeout=60)
    return out.read_bytes()


def raw_of(folder: Path, data: bytes, kind: str) -> bytes:
    image, out = folder / "image", folder / "out"
    image.write_bytes(data)
    subprocess.run(["qemu-img", "convert", "-f", kind, "-O", "raw", image, out], check=True, timeout=60)
    return out.read_bytes()


@pytest.fixture
def cloud(state_dir: Path) -> Iterator[Scene]:
    wishes = {"raw": {"convert": "raw", "decompress": True}, "qcow2": {"convert": "qcow2"}}
    with scene(state_dir, **wishes) as found:
        yield found


def stands(cloud: Scene, id: str, data: bytes, disk_format: str, store: str) -> None:
    """The record says of the image what its bytes are."""
    shown = cloud.show(id)
    # fmt: off
    assert {name: shown[name] for name in ("status", "disk_format", "container_format", "size", "stores")} == {
        "status": "active", "disk_format": disk_format, "container_format": "bare", "size": len(data), "stores": store,
    }
    # fmt: on
    assert shown["virtual_size"] == len(disk())
    assert shown["checksum"] == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert shown["os_hash_value"] == hashlib.sha512(data).hexdigest()


@pytest.mark.parametrize(
    ("declared", "kind"), [("qcow2", "qcow2"), ("vmdk", "vmdk"), ("vdi", "vdi"), ("vhd", "vpc"), ("vhdx", "vhdx")]
)
def test_a_store_that_wants_raw_gets_the_disk_inside(cloud: Scene, tmp_path: Path, declared: str, kind: str) -> None:
    id = cloud.create(declared)
    cloud.by_stage(id, made(tmp_path, kind), "raw")
    assert cloud.data(id) == disk()
    stands(cloud, id, disk(), "raw", "raw")
    until(lambda: all(name.startswith("raw/") for name in cloud.left()), what="what was staged is left")


def test_a_store_that_wants_qcow2_gets_one(cloud: Scene, tmp_path: Path) -> None:
    id = cloud.create("raw")
    cloud.by_web(id, disk(), "qcow2")
    data = cloud.data(id)
    assert raw_of(tmp_path, data, "qcow2") == disk()
    stands(cloud, id, data, "qcow2", "qcow2")


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, zstd.compress])
def test_what_comes_compressed_is_unpacked_and_then_converted(cloud: Scene, tmp_path: Path, pack) -> None:
    id = cloud.create("qcow2")
    cloud.by_web(id, pack(made(tmp_path, "qcow2")), "raw")
    assert cloud.data(id) == disk()
    stands(cloud, id, disk(), "raw", "raw")


def test_a_store_that_wants_nothing_gets_what_came(cloud: Scene) -> None:
    packed = gzip.compress(disk())
    id = cloud.create("raw")
    cloud.by_stage(id, packed)
    assert cloud.data(id) == packed


def test_what_is_to_stay_compressed_does(cloud: Scene) -> None:
    packed = gzip.compress(disk())
    id = cloud.create("raw", "compressed")
    cloud.by_stage(id, packed, "raw")
    assert cloud.data(id) == packed


def test_all_stores_of_one_import_get_the_same(cloud: Scene, tmp_path: Path) -> None:
    id = cloud.create("qcow2")
    assert cloud.stage(id, made(tmp_path, "qcow2")).status == 204
    assert cloud.start(id, {"name": "glance-direct"}, stores=["files", "raw"]).status == 202
    shown = cloud.finished(id)
    assert (shown["stores"], shown["disk_format"]) == ("files,raw", "raw")
    for store in ("files", "raw"):
        assert cloud.cloud.call("GET", f"/image/v2/images/{id}/file?prefer={store}").body == disk()


def test_stores_that_want_different_things_are_refused_at_once(cloud: Scene) -> None:
    id = cloud.create("raw")
    assert cloud.stage(id, disk()).status == 204
    reply = cloud.start(id, {"name": "glance-direct"}, stores=["raw", "qcow2"])
    assert reply.status == 400
    assert cloud.show(id)["status"] == "uploading"


def test_an_upload_stays_what_it_is(cloud: Scene, tmp_path: Path) -> None:
    data = made(tmp_path, "qcow2")
    id = cloud.create("qcow2")
    headers = {"content-type": "application/octet-stream", "x-image-meta-store": "raw"}
    assert cloud.cloud.call("PUT", f"/image/v2/images/{id}/file", content=data, headers=headers).status == 204
    assert cloud.data(id) == data


BAD = {
    "damaged": lambda folder: gzip.compress(disk())[:-9],
    "a bomb": lambda folder: zstd.compress(bytes(8 << 20)),
    "not what is declared": lambda folder: gzip.compress(made(folder, "vdi")),
    "a qcow2 with a table in a bad place": lambda folder: spoilt(made(folder, "qcow2")),
}


def spoilt(data: bytes) -> bytes:
    """A qcow2 that passes every check of its header, and whose first L2 table lies where none may lie."""
    l1 = int.from_bytes(data[40:48], "big")
    return data[:l1] + (0x30200).to_bytes(8, "big") + data[l1 + 8 :]


@pytest.mark.parametrize("what", BAD)
def test_an_import_that_fails_puts_everything_back(state_dir: Path, tmp_path: Path, what: str) -> None:
    with scene(state_dir, raw={"convert": "raw", "decompress": True}) as cloud:
        object.__setattr__(cloud.cloud.app.rooms.settings.images, "size_cap", 6 << 20)
        id = cloud.create("qcow2", hw_disk_bus="scsi")
        before = cloud.show(id)
        cloud.by_web(id, BAD[what](tmp_path), "raw")
        after = cloud.finished(id)
        assert (after["task"], after["status"]) == ("failure", "queued"), after
        assert "Error" not in after["reason"] and str(state_dir) not in after["reason"]
        for name in ("disk_format", "container_format", "size", "virtual_size", "checksum", "os_hash_value"):
            assert after[name] == before[name]
        cloud.empty()
        cloud.by_web(id, made(tmp_path, "qcow2"), "raw")
        assert cloud.data(id) == disk()
