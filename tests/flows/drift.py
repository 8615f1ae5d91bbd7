"""A whole cloud with real daemons and devices, in which things are made to go wrong."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select

from moorage.core.ids import new_uuid
from moorage.volumes.records import attachments
from tests.cloud import Cloud, running
from tests.drivers.loops import left
from tests.patience import until

V = {"OpenStack-API-Version": "volume 3.71"}


class Drift:
    """What tests of reconciliation do and look at."""

    def __init__(self, cloud: Cloud, *, watched: bool = False) -> None:
        """Unless it is `watched`, nobody looks but who is told to, so that there is something to find and repair."""
        self.cloud, self.rooms = cloud, cloud.app.rooms
        self.backend: Any = self.rooms.backends["files"]
        if not watched:
            self.backend._watch.stop()
            self.rooms.runner.periodic.stop()

    def volume(self, **more: Any) -> str:
        """A new volume, available."""
        reply = self.cloud.call("POST", "/volume/v3/volumes", {"volume": {"size": 1, **more}}, headers=V)
        assert reply.status == 202, reply.body
        id = str(reply.json["volume"]["id"])
        self.until(lambda: self.status(id) == "available")
        return id

    def upload(self) -> str:
        """A new image of a kibibyte in the default store."""
        body = {"name": "i", "disk_format": "raw", "container_format": "bare"}
        image: str = self.cloud.call("POST", "/image/v2/images", body).json["id"]
        path, kind = f"/image/v2/images/{image}/file", {"content-type": "application/octet-stream"}
        assert self.cloud.call("PUT", path, content=b"x" * 1024, headers=kind).status == 204
        return image

    def shared(self, **more: Any) -> str:
        """A new volume that several may use."""
        body = {"volume_type": {"name": f"shared-{new_uuid()}", "extra_specs": {"multiattach": "<is> True"}}}
        reply = self.cloud.call("POST", "/volume/v3/types", body, as_="moorage-admin", headers=V)
        assert reply.status == 200, reply.body
        return self.volume(volume_type=reply.json["volume_type"]["id"], **more)

    def status(self, volume: str) -> str:
        return str(self.cloud.call("GET", f"/volume/v3/volumes/{volume}", headers=V).json["volume"]["status"])

    def attach(self, volume: str, mode: str = "rw", **connector: Any) -> str:
        """A new attachment, complete: a block device, or with `nbd=True` a gate on a socket of this host."""
        asked = {"attachment": {"volume_uuid": volume, "mode": mode}}
        reply = self.cloud.call("POST", "/volume/v3/attachments", asked, headers=V)
        assert reply.status == 200, reply.body
        id = str(reply.json["attachment"]["id"])
        self.update(id, **connector)
        done = self.cloud.call("POST", f"/volume/v3/attachments/{id}/action", {"os-complete": {}}, headers=V)
        assert done.status == 204, done.body
        return id

    def update(self, id: str, **connector: Any) -> dict[str, Any]:
        """Open the attachment to its holder; its connection."""
        full = {"host": self.rooms.host, **(connector or {"local": True})}
        path, asked = f"/volume/v3/attachments/{id}", {"attachment": {"connector": full}}
        reply = self.cloud.call("PUT", path, asked, as_=None, local=True, headers=V)
        assert reply.status == 200, reply.body
        return dict(reply.json["attachment"]["connection_info"])

    def detach(self, id: str) -> None:
        reply = self.cloud.call("DELETE", f"/volume/v3/attachments/{id}", headers=V)
        assert reply.status == 200, reply.body

    def row(self, id: str) -> dict[str, Any]:
        """The attachment's row."""
        with self.rooms.database.read() as tx:
            return dict(tx.one(select(attachments).where(attachments.c.id == id)) or {})

    def device(self, id: str) -> str:
        """The path of the attachment's device; it has to be alive."""
        device = self.rooms.devices.present()[id]
        assert device.alive
        return str(device.path)

    def doctor(self, *, fix: bool = False) -> dict[str, Any]:
        """The doctor's report."""
        reply = self.cloud.call("POST", "/moorage/v1/doctor", {"fix": fix}, as_=None, local=True)
        assert reply.status == 200, reply.body
        return dict(reply.json["doctor"])

    def kinds(self, *, fix: bool = False) -> list[str]:
        """The kinds of what is wrong; with `fix`, all of it has to be right afterwards."""
        report = self.doctor(fix=fix)
        assert not fix or (report["left"], report["failed"]) == ([], [])
        return sorted(one["kind"] for one in report["findings"])

    def daemon(self, volume: str) -> int:
        server = self.backend._records.load(volume)
        return int(server.process.pid)

    def kill_daemon(self, volume: str) -> None:
        """Kill the volume's daemon, and wait until that is known."""
        os.kill(self.daemon(volume), signal.SIGKILL)
        self.until(lambda: not self.backend.survey()[volume].alive)

    def until(self, holds: Callable[[], bool]) -> None:
        until(holds)

    def clean(self) -> None:
        """Leave nothing on the machine, whatever the test did."""
        for id in self.rooms.devices.present():
            self.rooms.devices.disconnect(id)
        for volume in self.backend.survey():
            self.backend.clear(volume)
        place: Path = self.cloud.app.place.sockets
        assert left(place) == []
        shutil.rmtree(place)


@contextmanager
def drifting(state: Path, *, watched: bool = False) -> Iterator[Drift]:
    """Such a cloud on the state directory `state`; afterwards no device of it is left."""
    with running(state) as cloud:
        drift = Drift(cloud, watched=watched)
        yield drift
        drift.clean()
