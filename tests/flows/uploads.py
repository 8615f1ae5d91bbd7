"""Volumes that become images, in a whole cloud: what the tests of that do and look at."""

import hashlib
from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from moorage.images.records import digests, images, locations
from moorage.operations import journal
from moorage.operations.records import operations
from moorage.volumes import quota
from moorage.volumes.backend import Connection
from moorage.volumes.records import layers
from tests.cloud import Cloud, Reply
from tests.drivers.clients import client
from tests.patience import until

V = {"OpenStack-API-Version": "volume 3.71"}
GIB = 1 << 30


class Uploads:
    """A cloud in which volumes become images."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.rooms = cloud, cloud.app.rooms

    def volume(self, **more: Any) -> str:
        """A new volume of 1 GiB, available."""
        reply = self.cloud.call("POST", "/volume/v3/volumes", {"volume": {"size": 1, **more}}, headers=V)
        assert reply.status == 202, reply.body
        id = str(reply.json["volume"]["id"])
        self.until(lambda: self.status(id) in ("available", "error"))
        assert self.status(id) == "available"
        return id

    def status(self, volume: str) -> str:
        reply = self.cloud.call("GET", f"/volume/v3/volumes/{volume}", headers=V)
        return str(reply.json["volume"]["status"]) if reply.status == 200 else "gone"

    def attach(self, volume: str, mode: str = "rw") -> str:
        """A new attachment through a gate on a socket of this host; complete."""
        asked = {"attachment": {"volume_uuid": volume, "mode": mode}}
        reply = self.cloud.call("POST", "/volume/v3/attachments", asked, headers=V)
        assert reply.status == 200, reply.body
        id = str(reply.json["attachment"]["id"])
        path, full = f"/volume/v3/attachments/{id}", {"host": self.rooms.host, "nbd": True}
        opened = self.cloud.call("PUT", path, {"attachment": {"connector": full}}, as_=None, local=True, headers=V)
        assert opened.status == 200, opened.body
        done = self.cloud.call("POST", f"{path}/action", {"os-complete": {}}, headers=V)
        assert done.status == 204, done.body
        self.uris = {**getattr(self, "uris", {}), id: opened.json["attachment"]["connection_info"]["uri"]}
        return id

    def client(self, attachment: str) -> Any:
        """An NBD client of the attachment."""
        return client(Connection(self.uris[attachment]))

    def detach(self, attachment: str) -> None:
        assert self.cloud.call("DELETE", f"/volume/v3/attachments/{attachment}", headers=V).status == 200

    def write(self, volume: str, data: bytes, offset: int = 0) -> None:
        """The volume, which nobody uses, has these bytes at `offset`."""
        held = self.attach(volume)
        with self.client(held) as nbd:
            nbd.pwrite(data, offset)
            nbd.flush()
        self.detach(held)
        self.until(lambda: self.status(volume) == "available")

    def upload(
        self, volume: str, as_: str = "moorage", headers: dict[str, str] | None = None, **asked: Any
    ) -> dict[str, Any]:
        """What is answered to `os-volume_upload_image`."""
        reply = self.ask(volume, as_=as_, headers=headers, **asked)
        assert reply.status == 202, reply.body
        return dict(reply.json["os-volume_upload_image"])

    def ask(self, volume: str, as_: str = "moorage", headers: dict[str, str] | None = None, **asked: Any) -> Reply:
        body = {"os-volume_upload_image": {"image_name": "made of a volume", **asked}}
        path = f"/volume/v3/volumes/{volume}/action"
        return self.cloud.call("POST", path, body, as_=as_, headers={**V, **(headers or {})})

    def image(self, id: str) -> dict[str, Any]:
        reply = self.cloud.call("GET", f"/image/v2/images/{id}", as_="moorage-admin")
        return dict(reply.json) if reply.status == 200 else {"status": "gone"}

    def data(self, id: str, first: int, last: int) -> bytes:
        """These bytes of the image."""
        headers = {"range": f"bytes={first}-{last}"}
        reply = self.cloud.call("GET", f"/image/v2/images/{id}/file", headers=headers)
        assert reply.status == 206, reply.body
        return reply.body

    def delete_image(self, id: str) -> None:
        assert self.cloud.call("DELETE", f"/image/v2/images/{id}").status == 204

    def delete_volume(self, id: str) -> None:
        assert self.cloud.call("DELETE", f"/volume/v3/volumes/{id}", headers=V).status == 202
        self.until(lambda: self.status(id) == "gone")

    def hashed(self, id: str) -> dict[str, Any]:
        """The image once its hashes are known."""
        self.until(lambda: self.image(id).get("checksum") is not None, seconds=90)
        return self.image(id)

    def all_bytes(self) -> set[str]:
        """Every file of a volume or an image."""
        backend, store = self.rooms.backends["files"], self.rooms.stores["files"]
        return {*backend.layers(), *store.names()}

    def rows(self) -> dict[str, int]:
        """How many rows of each kind there are that name bytes, and operations that are not over."""
        with self.rooms.database.read() as tx:
            return {
                "layers": len(tx.all(select(layers))),
                "locations": len(tx.all(select(locations))),
                "open": len(tx.all(select(operations).where(journal.is_open()))),
            }

    def digests(self, id: str) -> bytes | None:
        with self.rooms.database.read() as tx:
            return tx.value(select(digests.c.digests).where(digests.c.image_id == id))

    def row(self, id: str) -> dict[str, Any]:
        with self.rooms.database.read() as tx:
            return dict(tx.get(images, id) or {})

    def quota_is_exact(self) -> bool:
        project = self.cloud.call("GET", "/identity/v3/auth/tokens", headers={"x-subject-token": self.cloud.token()})
        id = project.json["token"]["project"]["id"]
        with self.rooms.database.read() as tx:
            return quota.usage(tx, id) == quota.recount(tx, id)

    def until(self, holds: Callable[[], Any], seconds: float = 60) -> None:
        until(holds, seconds)


def md5(pieces: dict[int, bytes], size: int = GIB) -> str:
    """The MD5 of `size` bytes that are zero but for these pieces, by their offsets."""
    found, at, zeros = hashlib.md5(), 0, bytes(1 << 20)
    for offset, data in sorted(pieces.items()):
        while at < offset:
            found.update(zeros[: min(len(zeros), offset - at)])
            at += min(len(zeros), offset - at)
        found.update(data)
        at += len(data)
    while at < size:
        found.update(zeros[: min(len(zeros), size - at)])
        at += min(len(zeros), size - at)
    return found.hexdigest()
