"""
Volumes of images of very different sizes are made on the same path, moving nothing, and read as the images do.

A qcow2 of 64 GiB with 1 GiB of data in 10 000 places, a raw one of 8 GiB and a raw one of 64 MiB, through the whole
service: uploaded, made into volumes, attached, and read by a real NBD client.
"""

import os
import random
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from moorage.images.records import images
from moorage.volumes.backend import Connection
from tests.cloud import Cloud, running
from tests.drivers.clients import client

MIB, GIB = 1 << 20, 1 << 30
EXTENT, PAGE = 112 << 10, 4096  #: 10 000 extents are 1.07 GiB
READS = 1000
HERE = {"openstack-api-version": "volume 3.54"}


@dataclass(frozen=True)
class Disk:
    """What an image should read as: a sparse raw file, and where its data is."""

    path: Path
    size_bytes: int
    extents: Sequence[int]

    @classmethod
    def make(cls, path: Path, size_bytes: int, count: int, seed: int) -> "Disk":
        """A disk with `count` extents of data, no two pages of which are the same."""
        dice = random.Random(seed)
        room = size_bytes // count
        extents = [n * room + dice.randrange(0, room - EXTENT, 64 << 10) for n in range(count)]
        noise = dice.randbytes(EXTENT)
        with path.open("wb") as file:
            file.truncate(size_bytes)
            for start in extents:
                block = bytearray(noise)
                for page in range(0, EXTENT, PAGE):
                    block[page : page + 8] = (start + page).to_bytes(8)
                os.pwrite(file.fileno(), block, start)
        return cls(path, size_bytes, extents)

    def reads(self, count: int, seed: int) -> Iterator[tuple[int, int]]:
        """Offsets and lengths, half of them anywhere, half of them where data is, begins or ends; the ends as well."""
        dice = random.Random(seed)
        yield 0, PAGE
        yield self.size_bytes - PAGE, PAGE
        for n in range(count - 2):
            length = dice.choice((512, PAGE, 5 * PAGE, 64 << 10))
            at = dice.randrange(0, self.size_bytes)
            if n % 2:
                at = dice.choice(self.extents) + dice.randrange(-length, EXTENT)
            yield max(0, min(at // 512 * 512, self.size_bytes - length)), length


@pytest.fixture
def cloud(state_dir: Path) -> Iterator[Cloud]:
    with running(state_dir) as cloud:
        yield cloud


def call(cloud: Cloud, method: str, url: str, body: Any = None, **more: Any) -> Any:
    reply = cloud.call(method, url, body, as_="moorage-admin", headers={**HERE, **more.pop("headers", {})}, **more)
    assert reply.status < 300, (method, url, reply.status, reply.body)
    return reply.json if reply.body else None


def upload(cloud: Cloud, path: Path, disk_format: str) -> str:
    asked = {"name": path.name, "disk_format": disk_format, "container_format": "bare"}
    id: str = call(cloud, "POST", "/image/v2/images", asked)["id"]
    with path.open("rb") as file:
        chunks = iter(lambda: file.read(4 * MIB), b"")
        headers = {"content-type": "application/octet-stream", "content-length": str(path.stat().st_size)}
        call(cloud, "PUT", f"/image/v2/images/{id}/file", content=chunks, headers=headers)
    return id


def grow(cloud: Cloud, image: str, disk: Disk) -> None:
    """
    Put the disk into the place of the small one that was uploaded: 8 GiB through three hashes would take most of a
    minute, and how bytes came into the store is not what this is about.
    """
    store = cloud.app.rooms.stores["files"]
    (stored,) = [store.path(name) for name in store.names() if image in name]
    assert stored is not None
    stored.chmod(0o640)  # they are kept read-only
    with stored.open("r+b") as file:
        file.truncate(disk.size_bytes)
        with disk.path.open("rb") as source:
            for start in disk.extents:
                os.pwrite(file.fileno(), os.pread(source.fileno(), EXTENT, start), start)
    with cloud.app.database.write() as tx:
        tx.run(update(images).where(images.c.id == image).values(size=disk.size_bytes, virtual_size=disk.size_bytes))


def volume_of(cloud: Cloud, image: str, size_gib: int) -> str:
    asked = {"volume": {"size": size_gib, "imageRef": image}}
    id: str = call(cloud, "POST", "/volume/v3/volumes", asked)["volume"]["id"]
    while (found := call(cloud, "GET", f"/volume/v3/volumes/{id}")["volume"]["status"]) == "creating":
        time.sleep(0.01)
    assert found == "available"
    return id


def compare(cloud: Cloud, volume: str, disk: Disk, seed: int) -> None:
    """What an attachment reads is what the disk holds; where the volume is larger, it reads as zeroes."""
    connector = {"host": cloud.app.config.host, "nbd": True, "mode": "ro"}
    asked = {"attachment": {"volume_uuid": volume, "connector": connector}}
    attached = call(cloud, "POST", "/volume/v3/attachments", asked)["attachment"]
    with client(Connection(attached["connection_info"]["uri"])) as nbd, disk.path.open("rb") as source:
        for at, length in disk.reads(READS, seed):
            assert bytes(nbd.pread(length, at)) == os.pread(source.fileno(), length, at), (volume, at, length)
        if nbd.get_size() > disk.size_bytes:
            assert not any(nbd.pread(PAGE, disk.size_bytes))
    call(cloud, "DELETE", f"/volume/v3/attachments/{attached['id']}")


def test_volumes_of_any_image_are_made_alike(cloud: Cloud, state_dir: Path, tmp_path: Path) -> None:
    vast = Disk.make(tmp_path / "vast", 64 * GIB, 10_000, seed=1)
    large = Disk.make(tmp_path / "large", 8 * GIB, 500, seed=2)
    small = Disk.make(tmp_path / "small", 64 * MIB, 40, seed=3)
    converted = tmp_path / "vast.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", vast.path, converted], check=True, timeout=120)
    of = {"vast": upload(cloud, converted, "qcow2"), "small": upload(cloud, small.path, "raw")}
    of["large"] = upload(cloud, small.path, "raw")
    grow(cloud, of["large"], large)

    made = {}
    for name, size_gib in (("vast", 64), ("large", 8), ("small", 1)):
        before = stored_bytes(state_dir)
        made[name] = volume_of(cloud, of[name], size_gib)
        said = call(cloud, "GET", f"/moorage/v1/volumes/{made[name]}")["volume"]["made"]
        assert (said["path"], said["bytes"], said["why"]) == ("overlay", 0, None)
        assert stored_bytes(state_dir) - before < MIB  # metadata; nothing of the image was copied
    for seed, (name, disk) in enumerate((("vast", vast), ("large", large), ("small", small))):
        compare(cloud, made[name], disk, seed)


def stored_bytes(state: Path) -> int:
    """How much of the disk the volumes' files take."""
    return sum(path.stat().st_blocks * 512 for path in (state / "volumes").rglob("*") if path.is_file())
