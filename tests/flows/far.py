"""A cloud with a store out of its backends' reach, which does what a test wants it to."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import select

from moorage.config import StoreSettings
from moorage.drivers.stores.files import FilesStore
from moorage.images.store import StoreUnavailable
from moorage.volumes.backend import CHUNK_BYTES, Connection
from moorage.volumes.records import copies
from moorage.volumes.settings import VolumeSettings
from tests.cloud import Cloud, running
from tests.drivers.clients import client
from tests.drivers.origin import noise
from tests.patience import until

SIZE = 2 * CHUNK_BYTES + (1 << 20)
DATA = noise(SIZE, seed=3)
V = {"OpenStack-API-Version": "volume 3.71"}
SLOWLY = {"hydration_mib_per_s": 1}


class FarStore(FilesStore):
    """Files elsewhere, and what has been read of them."""

    def __init__(self, root: Path) -> None:
        super().__init__("far", root)
        self.asked: Counter[tuple[str, int]] = Counter()
        self.down = self.garbled = False
        self.slow_s = 0.0

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.asked[name, offset] += 1
        time.sleep(self.slow_s)
        if self.down:
            raise StoreUnavailable(store="far", why="the test says so")
        for chunk in super().open(name, offset, length):
            yield bytes(len(chunk)) if self.garbled else chunk


class Far:
    """What tests do with such a cloud."""

    def __init__(self, cloud: Cloud, root: Path, *, real: bool = False) -> None:
        """Unless the store is `real`, it is one that misbehaves as a test wants."""
        self.cloud, self.rooms = cloud, cloud.app.rooms
        self.store = FarStore(root)
        self.info: dict[str, Any] = {}
        if not real:
            self.rooms.stores["far"] = self.store  # type: ignore[index]

    def call(self, method: str, url: str, body: Any = None, **more: Any) -> Any:
        reply = self.cloud.call(method, url, body, headers={**V, **more.pop("headers", {})}, **more)
        assert reply.status < 300, (method, url, reply.status, reply.body)
        return reply.json if reply.body else None

    def image(self, data: bytes = DATA, disk_format: str = "raw", store: str = "far") -> str:
        body = {"name": "i", "disk_format": disk_format, "container_format": "bare"}
        id = str(self.call("POST", "/image/v2/images", body)["id"])
        headers = {"content-type": "application/octet-stream", "x-image-meta-store": store}
        chunks = [data[at : at + (1 << 20)] for at in range(0, len(data), 1 << 20)]
        self.call("PUT", f"/image/v2/images/{id}/file", content=chunks, headers=headers)
        return id

    def begin(self, image: str, size: int = 1) -> str:
        asked = {"volume": {"size": size, "imageRef": image}}
        return str(self.call("POST", "/volume/v3/volumes", asked)["volume"]["id"])

    def volume(self, image: str, size: int = 1) -> str:
        id = self.begin(image, size)
        until(lambda: self.status(id) == "available")
        return id

    def status(self, id: str) -> str:
        return str(self.call("GET", f"/volume/v3/volumes/{id}")["volume"]["status"])

    def shown(self, id: str) -> Any:
        return self.call("GET", f"/moorage/v1/volumes/{id}", as_="moorage-admin")["volume"]

    def why(self, id: str) -> Any:
        return self.call("GET", f"/moorage/v1/why/volume/{id}")["why"]

    def delete(self, id: str) -> None:
        self.call("DELETE", f"/volume/v3/volumes/{id}")
        until(lambda: self.cloud.call("GET", f"/volume/v3/volumes/{id}", headers=V).status == 404)

    def copies(self) -> list[dict[str, Any]]:
        with self.rooms.database.read() as tx:
            return [dict(row) for row in tx.all(select(copies))]

    def whole(self) -> bool:
        rows = self.copies()
        return bool(rows) and all(row["state"] == "whole" for row in rows)

    def missing(self) -> list[int]:
        """The chunks that have not come, of all copies."""
        layers = [row["layer"] for row in self.copies()]
        return [chunk for layer in layers for chunk in self.rooms.backends["files"].missing(layer)]

    def door(self, volume: str) -> tuple[str, Connection]:
        """A new attachment of the volume, and how to connect to it."""
        asked = {"attachment": {"volume_uuid": volume, "mode": "rw"}}
        id = self.call("POST", "/volume/v3/attachments", asked)["attachment"]["id"]
        where = {"attachment": {"connector": {"host": self.rooms.host, "nbd": True}}}
        shown = self.cloud.call("PUT", f"/volume/v3/attachments/{id}", where, as_=None, local=True, headers=V)
        assert shown.status == 200, shown.body
        self.call("POST", f"/volume/v3/attachments/{id}/action", {"os-complete": {}})
        self.info = shown.json["attachment"]["connection_info"]
        return id, Connection(self.info["uri"])

    @contextmanager
    def attached(self, volume: str) -> Iterator[Any]:
        """An NBD client of the volume."""
        id, connection = self.door(volume)
        try:
            with client(connection) as nbd:
                yield nbd
        finally:
            self.call("DELETE", f"/volume/v3/attachments/{id}")

    @contextmanager
    def attached_again(self) -> Iterator[Any]:
        """Another client of the door that was opened last."""
        with client(Connection(self.info["uri"])) as nbd:
            yield nbd


def same(nbd: Any, data: bytes = DATA, reads: int = 50, seed: int = 5) -> None:
    """Random reads equal the image."""
    dice = random.Random(seed)
    for _ in range(reads):
        at, length = dice.randrange(len(data) - 65536), dice.choice((512, 4096, 65536))
        assert nbd.pread(length, at) == data[at : at + length]


@contextmanager
def far_away(state: Path, database_url: str = "", **settings: Any) -> Iterator[Far]:
    """A cloud whose backend cannot reach the store `far`."""
    root = state / "elsewhere"
    root.mkdir(exist_ok=True)
    stores = (StoreSettings("files"), StoreSettings("far", path=str(root)))
    volumes = replace(VolumeSettings(), **settings)
    with running(state, database_url, stores=stores, volumes=volumes) as cloud:
        yield Far(cloud, root)
