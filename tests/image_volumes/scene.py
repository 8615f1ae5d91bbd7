"""A cloud that keeps images in volumes, and what tests do to it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moorage.config import StoreSettings
from moorage.core.caller import MOORAGE
from moorage.drivers.stores.volume.doors import open_door
from moorage.drivers.stores.volume.settings import VolumeStoreSettings
from moorage.drivers.stores.volume.store import VolumeStore
from tests.cloud import Cloud, Reply, running
from tests.patience import until

MIB = 1 << 20
BYTES = {"content-type": "application/octet-stream"}
STORES = (StoreSettings(id="volumes", kind="volume", volume=VolumeStoreSettings(idle_s=1)), StoreSettings())


@contextmanager
def image_cloud(state: Path, database_url: str = "") -> Iterator[Cloud]:
    """A cloud whose default store is one of volumes."""
    with running(state, database_url, stores=STORES) as cloud:
        yield cloud


def store(cloud: Cloud) -> VolumeStore:
    found: VolumeStore = cloud.app.rooms.stores["volumes"].inner
    return found


def new_image(cloud: Cloud, disk_format: str = "raw", as_: str = "moorage", **more: Any) -> str:
    asked = {"name": "i", "disk_format": disk_format, "container_format": "bare", **more}
    made = cloud.call("POST", "/image/v2/images", asked, as_=as_)
    assert made.status == 201, made.body
    return str(made.json["id"])


def image(cloud: Cloud, data: bytes, disk_format: str = "raw", as_: str = "moorage", **more: Any) -> str:
    """An image of these bytes, whose length was known when they came."""
    id = new_image(cloud, disk_format, as_, **more)
    done = put(cloud, id, data, as_=as_)
    assert done.status == 204, done.body
    return id


def put(cloud: Cloud, id: str, data: bytes | list[bytes], as_: str = "moorage") -> Reply:
    return cloud.call("PUT", f"/image/v2/images/{id}/file", content=data, headers=BYTES, as_=as_)


def image_volume(cloud: Cloud, id: str) -> dict[str, Any]:
    """The volume that holds the image, as an administrator sees it; none is an empty one."""
    path = f"/volume/v3/volumes/detail?all_tenants=1&name=image-{id}"
    rows = cloud.call("GET", path, as_="moorage-admin").json["volumes"]
    assert all(row["user_id"] == MOORAGE for row in rows)
    return dict(rows[0]) if rows else {}


def volume(cloud: Cloud, image_id: str, size: int = 1, as_: str = "moorage") -> str:
    made = cloud.call("POST", "/volume/v3/volumes", {"volume": {"size": size, "imageRef": image_id}}, as_=as_)
    assert made.status == 202, made.body
    id = str(made.json["volume"]["id"])
    until(lambda: status(cloud, id) in ("available", "error"))
    return id


def status(cloud: Cloud, id: str) -> str | None:
    found = cloud.call("GET", f"/volume/v3/volumes/{id}", as_="moorage-admin")
    return str(found.json["volume"]["status"]) if found.status == 200 else None


def content(cloud: Cloud, id: str, length: int) -> bytes:
    """The first bytes of a volume, as a client of it reads them."""
    connector = {"host": cloud.app.config.host, "nbd": True}
    asked = {"attachment": {"volume_uuid": id, "mode": "ro", "connector": connector}}
    headers = {"openstack-api-version": "volume 3.54"}
    made = cloud.call("POST", "/volume/v3/attachments", asked, as_="moorage-admin", headers=headers)
    assert made.status == 200, made.body
    claim = made.json["attachment"]
    connection = open_door(claim["connection_info"], "")
    try:
        return b"".join(bytes(connection.read(at, min(MIB, length - at)).result()) for at in range(0, length, MIB))
    finally:
        connection.close()
        cloud.call("DELETE", f"/volume/v3/attachments/{claim['id']}", as_="moorage-admin", headers=headers)


def file_of(cloud: Cloud, id: str, as_: str = "moorage") -> bytes:
    got = cloud.call("GET", f"/image/v2/images/{id}/file", as_=as_)
    assert got.status == 200, got.body
    return got.body


def qcow2(folder: Path, raw: bytes) -> bytes:
    """A qcow2 file whose disk has these bytes."""
    (folder / "disk.raw").write_bytes(raw)
    command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(folder / "disk.raw"), str(folder / "disk.qcow2")]
    subprocess.run(command, check=True)
    return (folder / "disk.qcow2").read_bytes()


def random_bytes(length: int = 3 * MIB + 12_345) -> bytes:
    return os.urandom(length)


def kill_daemon(cloud: Cloud, volume: str) -> None:
    """The storage daemon that serves the volume is gone without a word."""
    server = cloud.app.rooms.backends["files"]._records.load(volume)  # type: ignore[attr-defined]
    os.kill(server.process.pid, signal.SIGKILL)
