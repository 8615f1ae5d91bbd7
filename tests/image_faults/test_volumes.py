"""Images that are kept in volumes: read by many, given up half-way, deleted under their readers; with real daemons."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from moorage.config import StoreSettings
from moorage.drivers.stores.volume.settings import VolumeStoreSettings
from tests.cloud import Cloud, Reply, running
from tests.conftest import state_directory
from tests.patience import eventually

ONE = 1 << 20
DATA = os.urandom(12 * ONE + 77)
READERS = 16
BYTES = {"content-type": "application/octet-stream", "x-image-meta-store": "volumes"}
CONFIG = """
[[stores]]
id = "volumes"
kind = "volume"
[stores.volume]
idle_s = 2
"""


class Kept:
    """A cloud that keeps images in volumes, and what is asked of it."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.store: Any = cloud.app.rooms.stores["volumes"].inner  # type: ignore[attr-defined]

    def image(self) -> str:
        asked = {"disk_format": "raw", "container_format": "bare"}
        return str(self.cloud.call("POST", "/image/v2/images", asked).json["id"])

    def upload(self, id: str, content: Any, **more: Any) -> Reply:
        return self.cloud.call("PUT", f"/image/v2/images/{id}/file", content=content, headers=BYTES, **more)

    def filled(self, content: bytes = DATA) -> str:
        id = self.image()
        assert self.upload(id, content).status == 204
        return id

    def read(self, id: str) -> Reply:
        return self.cloud.call("GET", f"/image/v2/images/{id}/file")

    def delete(self, id: str) -> int:
        return self.cloud.call("DELETE", f"/image/v2/images/{id}").status

    def name(self, id: str) -> str:
        (name,) = [name for name in self.store.names() if f"/{id}/" in name]
        return str(name)

    def volumes(self) -> list[str]:
        found = self.cloud.call("GET", "/volume/v3/volumes?all_tenants=1", as_="moorage-admin").json["volumes"]
        return [one["id"] for one in found]

    def attachments(self) -> list[Any]:
        path = "/volume/v3/attachments/detail?all_tenants=1"
        headers = {"openstack-api-version": "volume 3.54"}
        return list(self.cloud.call("GET", path, as_="moorage-admin", headers=headers).json["attachments"])


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    store = StoreSettings(id="volumes", kind="volume", volume=VolumeStoreSettings(idle_s=1))
    with state_directory() as state, running(state, stores=(StoreSettings(), store)) as cloud:
        yield Kept(cloud)


@pytest.fixture
def clean(kept: Kept) -> Iterator[Kept]:
    yield kept
    for id in [image["id"] for image in kept.cloud.call("GET", "/image/v2/images?limit=500").json["images"]]:
        kept.delete(id)
    for id in kept.volumes():
        kept.cloud.call("DELETE", f"/volume/v3/volumes/{id}")
    assert eventually(lambda: not kept.attachments() and not kept.volumes(), 60), kept.attachments()


def test_image_fault_c9_uploads_into_volumes_that_meet_a_delete_leave_none(clean: Kept) -> None:
    before = clean.volumes()

    def slowly() -> Iterator[bytes]:
        for start in range(0, len(DATA), ONE):
            time.sleep(0.01)
            yield DATA[start : start + ONE]

    for turn in range(8):
        id = clean.image()
        with ThreadPoolExecutor(1) as threads:
            coming = threads.submit(clean.upload, id, slowly())
            time.sleep(0.04 * turn)
            assert clean.delete(id) == 204
            assert coming.result().status in (204, 404, 410)
    assert eventually(lambda: clean.volumes() == before, 60)


def test_image_lp_1954883_1959186_an_image_that_volumes_lie_on_can_be_deleted_and_they_stay(clean: Kept) -> None:
    for headers in (BYTES, {**BYTES, "x-image-meta-store": "files"}):
        id = clean.image()
        assert clean.cloud.call("PUT", f"/image/v2/images/{id}/file", content=DATA, headers=headers).status == 204
        asked = {"volume": {"size": 1, "imageRef": id}}
        volume = clean.cloud.call("POST", "/volume/v3/volumes", asked).json["volume"]["id"]

        def status(volume: str = volume) -> str:
            return str(clean.cloud.call("GET", f"/volume/v3/volumes/{volume}").json["volume"]["status"])

        assert eventually(lambda status=status: status() == "available", 60)  # type: ignore[misc]
        assert clean.delete(id) == 204
        assert clean.cloud.call("GET", f"/image/v2/images/{id}").status == 404
        upload = {"os-volume_upload_image": {"image_name": "again", "container_format": "bare", "disk_format": "raw"}}
        made = clean.cloud.call("POST", f"/volume/v3/volumes/{volume}/action", upload)
        assert made.status == 202, made.body
        again = made.json["os-volume_upload_image"]["image_id"]
        shown: Callable[[], Any] = lambda again=again: clean.cloud.call("GET", f"/image/v2/images/{again}").json  # type: ignore[misc]  # noqa: E731
        assert eventually(lambda shown=shown: shown()["status"] == "active", 60)  # type: ignore[misc]
        part = {"range": f"bytes=0-{len(DATA) - 1}"}
        assert clean.cloud.call("GET", f"/image/v2/images/{again}/file", headers=part).body == DATA
