"""Volumes of images in foreign formats, through the whole service: uploaded, converted, attached and compared."""

import random
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage.drivers.backends.files.layers import DRIVERS, Layers
from moorage.flows.turns import AT_ONCE
from moorage.volumes.backend import Connection, Foreign, Layer
from tests.cloud import Cloud, running
from tests.drivers.clients import client
from tests.patience import eventually

MIB = 1 << 20
V = {"openstack-api-version": "volume 3.71"}


@pytest.fixture
def cloud(state_dir: Path) -> Iterator[Cloud]:
    with running(state_dir) as cloud:
        yield cloud


def call(cloud: Cloud, method: str, url: str, body: Any = None, **more: Any) -> Any:
    reply = cloud.call(method, url, body, as_="moorage-admin", headers={**V, **more.pop("headers", {})}, **more)
    assert reply.status < 300, (method, url, reply.status, reply.body)
    return reply.json if reply.body else None


def disk() -> bytes:
    """A disk with data at its ends and in the middle, and holes."""
    dice = random.Random(7)
    return b"".join(dice.randbytes(MIB) + bytes(MIB) for _ in range(8)) + dice.randbytes(MIB)


def uploaded(cloud: Cloud, folder: Path, kind: str, container: str = "bare") -> str:
    """The id of an image that real tools have made."""
    plain, made = folder / "plain", folder / f"disk.{kind}"
    plain.write_bytes(disk())
    words = ("-f", "raw", "-O", DRIVERS[kind], *(("-o", "force_size=on") if kind == "vhd" else ()))
    subprocess.run(["qemu-img", "convert", *words, plain, made], check=True, timeout=60)
    asked = {"name": kind, "disk_format": kind, "container_format": container}
    id: str = call(cloud, "POST", "/image/v2/images", asked)["id"]
    kind_of = {"content-type": "application/octet-stream"}
    call(cloud, "PUT", f"/image/v2/images/{id}/file", content=made.read_bytes(), headers=kind_of)
    return id


def begun(cloud: Cloud, image: str) -> str:
    return str(call(cloud, "POST", "/volume/v3/volumes", {"volume": {"size": 1, "imageRef": image}})["volume"]["id"])


def status(cloud: Cloud, id: str) -> str:
    return str(call(cloud, "GET", f"/volume/v3/volumes/{id}")["volume"]["status"])


def read(cloud: Cloud, volume: str, length: int) -> bytes:
    connector = {"host": cloud.app.config.host, "nbd": True, "mode": "ro"}
    asked = {"attachment": {"volume_uuid": volume, "connector": connector}}
    attached = call(cloud, "POST", "/volume/v3/attachments", asked)["attachment"]
    with client(Connection(attached["connection_info"]["uri"])) as nbd:
        found = b"".join(bytes(nbd.pread(MIB, at)) for at in range(0, length, MIB))
    call(cloud, "DELETE", f"/volume/v3/attachments/{attached['id']}")
    return found


@pytest.mark.parametrize("kind", sorted(DRIVERS))
def test_a_volume_has_the_bytes_of_the_disk_inside_the_image(cloud: Cloud, tmp_path: Path, kind: str) -> None:
    volume = begun(cloud, uploaded(cloud, tmp_path, kind))
    assert eventually(lambda: status(cloud, volume) == "available")
    assert read(cloud, volume, 20 * MIB) == disk() + bytes(3 * MIB)
    made = call(cloud, "GET", f"/moorage/v1/volumes/{volume}")["volume"]["made"]
    assert (made["path"], 9 * MIB <= made["bytes"] <= 12 * MIB, made["ms"] > 0) == ("converted", True, True)
    assert kind in made["why"]
    shown = call(cloud, "GET", f"/volume/v3/volumes/{volume}")["volume"]
    assert (shown["bootable"], shown["volume_image_metadata"]["disk_format"]) == ("true", kind)


def test_what_was_not_inspected_is_not_converted(cloud: Cloud, tmp_path: Path) -> None:
    image = uploaded(cloud, tmp_path, "vmdk", container="ova")
    asked = {"volume": {"size": 1, "imageRef": image}}
    reply = cloud.call("POST", "/volume/v3/volumes", asked, as_="moorage-admin", headers=V)
    assert (reply.status, b"not inspected" in reply.body) == (400, True)


def test_few_conversions_run_at_once_and_none_keeps_anything_else_waiting(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, inside, most, convert = threading.Event(), [], 0, Layers.convert

    def slow(self: Layers, layer: Layer, source: Foreign, check: Any) -> int:
        nonlocal most
        inside.append(layer.name)
        most = max(most, len(inside))
        go.wait(60)
        inside.remove(layer.name)
        return convert(self, layer, source, check)

    monkeypatch.setattr(Layers, "convert", slow)
    image = uploaded(cloud, tmp_path, "vdi")
    made = [begun(cloud, image) for _ in range(12)]
    assert eventually(lambda: len(inside) == AT_ONCE)
    blank = call(cloud, "POST", "/volume/v3/volumes", {"volume": {"size": 1}})["volume"]["id"]
    assert eventually(lambda: status(cloud, blank) == "available")
    go.set()
    assert eventually(lambda: {status(cloud, id) for id in made} == {"available"}, patience_s=60)
    assert most == AT_ONCE


def test_a_volume_that_is_deleted_while_it_is_made_leaves_nothing(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun_there, convert = threading.Event(), Layers.convert

    def slow(self: Layers, layer: Layer, source: Foreign, check: Any) -> int:
        begun_there.set()
        while True:  # as long as a very large one would take
            check()

    monkeypatch.setattr(Layers, "convert", slow)
    image = uploaded(cloud, tmp_path, "vmdk")
    volume = begun(cloud, image)
    assert begun_there.wait(30)
    action = {"os-force_delete": {}}
    reply = cloud.call("POST", f"/volume/v3/volumes/{volume}/action", action, as_="moorage-admin", headers=V)
    assert reply.status == 202
    assert eventually(lambda: cloud.call("GET", f"/volume/v3/volumes/{volume}", headers=V).status == 404)
    monkeypatch.setattr(Layers, "convert", convert)
    call(cloud, "DELETE", f"/image/v2/images/{image}")
    assert eventually(lambda: not cloud.app.rooms.stores["files"].names())
    assert cloud.app.rooms.backends["files"].layers() == frozenset()
