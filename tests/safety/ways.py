"""Every way by which bytes of a stranger come into an image, through a whole cloud; and what is left of them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moorage.config import StoreSettings
from moorage.drivers.fetch.settings import FetchSettings
from tests.cloud import Cloud, Reply, running
from tests.drivers.fetch.web import Web, answer, web

BYTES = {"content-type": "application/octet-stream"}
OVER = {"active", "queued"}


class Scene:
    """A cloud with a store for each wish, and a server elsewhere."""

    def __init__(self, cloud: Cloud, site: Web, state: Path) -> None:
        self.cloud, self.site, self.state = cloud, site, state

    def create(self, disk_format: str = "raw", container: str = "bare", **properties: str) -> str:
        asked = {"name": "x", "disk_format": disk_format, "container_format": container, **properties}
        reply = self.cloud.call("POST", "/image/v2/images", asked)
        assert reply.status == 201, reply.body
        return str(reply.json["id"])

    def show(self, id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.cloud.call("GET", f"/image/v2/images/{id}").json
        return shown

    def data(self, id: str) -> bytes:
        return self.cloud.call("GET", f"/image/v2/images/{id}/file").body

    def upload(self, id: str, data: bytes) -> Reply:
        return self.cloud.call("PUT", f"/image/v2/images/{id}/file", content=data, headers=BYTES)

    def stage(self, id: str, data: bytes) -> Reply:
        return self.cloud.call("PUT", f"/image/v2/images/{id}/stage", content=data, headers=BYTES)

    def start(self, id: str, method: dict[str, str], **more: Any) -> Reply:
        return self.cloud.call("POST", f"/image/v2/images/{id}/import", {"method": method, **more})

    def finished(self, id: str) -> dict[str, Any]:
        """The image when its import is over, with the reason of a failure as `reason`."""
        until = time.monotonic() + 120
        while True:
            tasks = self.cloud.call("GET", f"/image/v2/images/{id}/tasks").json["tasks"]
            if tasks and tasks[0]["status"] in ("success", "failure"):
                shown = self.show(id)
                if shown["status"] in OVER:
                    return {**shown, "task": tasks[0]["status"], "reason": tasks[0]["message"] or ""}
            assert time.monotonic() < until, tasks
            time.sleep(0.05)

    def by_upload(self, id: str, data: bytes, store: str = "files") -> tuple[int, str]:
        reply = self.upload(id, data)
        return reply.status, reply.body.decode()

    def by_stage(self, id: str, data: bytes, store: str = "files") -> tuple[int, str]:
        """The status is 202 when the refusal comes later."""
        staged = self.stage(id, data)
        if staged.status != 204:
            return staged.status, staged.body.decode()
        begun = self.start(id, {"name": "glance-direct"}, stores=[store])
        assert begun.status == 202, begun.body
        return 202, self.finished(id)["reason"]

    def by_web(self, id: str, data: bytes, store: str = "files") -> tuple[int, str]:
        self.site.pages["/image"] = answer(200, data)
        begun = self.start(id, {"name": "web-download", "uri": self.site.url("/image")}, stores=[store])
        assert begun.status == 202, begun.body
        return 202, self.finished(id)["reason"]

    def left(self) -> list[str]:
        """Files of images and stages, and in scratch, anywhere in the state directory."""
        found = []
        for top in ("images", "staging", "scratch", "raw", "qcow2", "unpacking"):
            folder = self.state / top
            found += [str(path.relative_to(self.state)) for path in folder.rglob("*") if path.is_file()]
        return found

    def empty(self) -> None:
        """Wait until nothing is left."""
        until = time.monotonic() + 60
        while self.left():
            assert time.monotonic() < until, self.left()
            time.sleep(0.05)


@contextmanager
def scene(state: Path, **stores: dict[str, Any]) -> Iterator[Scene]:
    """A cloud whose stores are `files`, which is plain, and these."""
    kept = [StoreSettings(default=True)]
    for id, wishes in stores.items():
        kept.append(StoreSettings(id=id, path=str(state / id), **wishes))
    with web() as site:
        fetch = FetchSettings(allowed_networks=("127.0.0.1/32",), allowed_ports=(site.port,))
        with running(state, stores=tuple(kept), fetch=fetch) as cloud:
            yield Scene(cloud, site, state)


Way = Callable[[Scene, str, bytes], tuple[int, str]]
