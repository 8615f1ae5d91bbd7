"""
`glance-download` from a real Glance: `make glance`, where `OS_*` variables say which and who asks.

`GLANCE_STORES` are stores there that images are put into, `GLANCE_WWW` is where a web server may be whose files are
locations there; what does not apply is left empty. What is made there is deleted again.
"""

import functools
import hashlib
import http.server
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage.client.clouds import Cloud
from moorage.client.session import Session
from moorage.config import StoreSettings
from moorage.drivers.remotes.settings import RemoteSettings
from moorage.images.settings import ImageSettings
from tests.cloud import running
from tests.drivers.fetch.web import web
from tests.drivers.origin import noise
from tests.hostile.make import qcow2
from tests.safety.ways import Scene

if "OS_AUTH_URL" not in os.environ:
    pytest.skip("no OS_AUTH_URL says where Glance is", allow_module_level=True)

DATA = noise((24 << 20) + 12_345, seed=11)
STORES = os.environ.get("GLANCE_STORES", "fs rbd cin").split()
WWW = os.environ.get("GLANCE_WWW", "127.0.0.1:18083")
COPIED = {"hw_disk_bus": "scsi", "trait:CUSTOM_X": "required", "os_distro": "debian", "os_type": "linux"}
KEPT_BACK = {"owner_note": "mine", "os_version": "12"}


class Glance:
    """The other cloud, as its owner asks it."""

    def __init__(self) -> None:
        auth = {
            "auth_url": os.environ["OS_AUTH_URL"],
            "username": os.environ["OS_USERNAME"],
            "password": os.environ["OS_PASSWORD"],
            "user_domain_name": os.environ.get("OS_USER_DOMAIN_NAME", "Default"),
            "project_name": os.environ["OS_PROJECT_NAME"],
            "project_domain_name": os.environ.get("OS_PROJECT_DOMAIN_NAME", "Default"),
        }
        self.session = Session(Cloud("real", auth))
        self._made: list[str] = []

    def create(self, disk_format: str = "raw", container: str = "bare", **properties: str) -> str:
        asked = {"name": "campaign", "disk_format": disk_format, "container_format": container, **properties}
        self._made.append(str(self.session.ask("image", "POST", "/v2/images", asked)["id"]))
        return self._made[-1]

    def image(self, data: bytes = DATA, disk_format: str = "raw", store: str = "", **more: str) -> str:
        id = self.create(disk_format, **more)
        url, token = self.session.reach("image")
        headers = {"X-Auth-Token": token, "Content-Type": "application/octet-stream"}
        headers |= {"X-Image-Meta-Store": store} if store else {}
        sent = urllib.request.Request(f"{url}/v2/images/{id}/file", data, headers, method="PUT")
        urllib.request.urlopen(sent, timeout=120).close()
        return id

    def located(self, url: str) -> str:
        """An active image of what is at `url`, hashed there as it is now."""
        id = self.create()
        self.session.ask("image", "POST", f"/v2/images/{id}/locations", {"url": url})
        until = time.monotonic() + 90
        while (shown := self.show(id))["status"] != "active" or not shown["os_hash_value"]:
            assert time.monotonic() < until, shown
            time.sleep(0.5)
        return id

    def show(self, id: str) -> Any:
        return self.session.ask("image", "GET", f"/v2/images/{id}")

    def clear(self) -> None:
        for id in self._made:
            self.session.ask("image", "DELETE", f"/v2/images/{id}")


@pytest.fixture
def glance() -> Iterator[Glance]:
    glance = Glance()
    yield glance
    glance.clear()


@pytest.fixture
def near(state_dir: Path) -> Iterator[Scene]:
    remote = RemoteSettings(
        name="real",
        auth_url=os.environ["OS_AUTH_URL"],
        username=os.environ["OS_USERNAME"],
        project=os.environ["OS_PROJECT_NAME"],
        secret_env="OS_PASSWORD",
    )
    images = ImageSettings(import_methods=("glance-direct", "glance-download"))
    stores = (StoreSettings(default=True),)
    with web() as site, running(state_dir, stores=stores, images=images, remotes=(remote,)) as cloud:
        yield Scene(cloud, site, state_dir)


def fetched(near: Scene, source: str, **more: str) -> tuple[str, dict[str, Any]]:
    """A new image after its import from there."""
    id = str(near.cloud.call("POST", "/image/v2/images", {"name": "near"}).json["id"])
    asked = {"name": "glance-download", "glance_region": "real", "glance_image_id": source, **more}
    reply = near.start(id, asked)
    assert reply.status == 202, reply.body
    return id, near.finished(id)


@pytest.mark.parametrize("store", STORES)
def test_an_image_comes_whole_with_formats_hashes_and_what_belongs_to_it(near, glance, store):
    source = glance.image(store=store, **COPIED, **KEPT_BACK)
    there = glance.show(source)
    id, shown = fetched(near, source)
    assert shown["status"] == "active", shown
    for name in ("size", "checksum", "os_hash_algo", "os_hash_value", "disk_format", "container_format"):
        assert shown[name] == there[name], name
    assert shown["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert {name: shown.get(name) for name in COPIED} == COPIED and not KEPT_BACK.keys() & shown.keys()
    assert near.data(id) == DATA


@pytest.mark.parametrize("interface", ["public", "internal", "admin"])
def test_each_interface_of_its_catalog_leads_there(near, glance, interface):
    _, shown = fetched(near, glance.image(b"data" * 1024), glance_service_interface=interface)
    assert shown["status"] == "active" and shown["size"] == 4096


def test_a_qcow2_comes_as_it_is(near, glance):
    data = qcow2()
    id, shown = fetched(near, glance.image(data, "qcow2"))
    assert (shown["status"], shown["disk_format"]) == ("active", "qcow2"), shown
    assert near.data(id) == data


def test_hostile_content_is_refused_though_glance_has_taken_it(near, glance):
    source = glance.image(qcow2(backing=112), "qcow2", container="ova")
    id = near.create("qcow2", "bare")
    asked = {"name": "glance-download", "glance_region": "real", "glance_image_id": source}
    assert near.start(id, asked).status == 202
    after = near.finished(id)
    assert after["status"] == "queued" and "backing file" in after["reason"]
    near.empty()


def test_what_is_not_there_or_not_active_leaves_the_image_queued(near, glance):
    for source, why in ((glance.create(), "not active"), ("6f0c4c2e-6f4b-4c3e-9d0f-0a2b6a7c1d11", "not there")):
        _, after = fetched(near, source)
        assert (after["status"], after["task"]) == ("queued", "failure") and why in after["reason"]
    source = glance.image(b"data")
    glance.session.ask("image", "POST", f"/v2/images/{source}/actions/deactivate")
    _, after = fetched(near, source)
    assert after["status"] == "queued" and "not active" in after["reason"]
    near.empty()


CHANGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "other bytes": (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "do not have the hash"),
    "fewer bytes": (lambda data: data[:-4096], ""),
}


needs_www = pytest.mark.skipif(not WWW, reason="no web server may be asked there")


@needs_www
@pytest.mark.parametrize("change", CHANGES)
def test_bytes_that_have_changed_behind_glance_are_refused(near, glance, tmp_path, change):
    """Glance passes on what a web server has now, and tells the size and the hash that it had."""
    data, (changed, why) = DATA[: 4 << 20], CHANGES[change]
    with serving(tmp_path) as at:
        (tmp_path / "disk").write_bytes(data)
        source = glance.located(f"{at}/disk")
        _, good = fetched(near, source)
        assert good["status"] == "active" and good["size"] == len(data), good
        (tmp_path / "disk").write_bytes(changed(data))
        _, after = fetched(near, source)
        assert (after["status"], after["task"]) == ("queued", "failure"), after
        assert why in after["reason"] and after["reason"], after


@needs_www
def test_what_was_added_behind_glance_does_not_come_along(near, glance, tmp_path):
    """Glance cuts off what is behind the size that it tells: the image is the one that it was."""
    with serving(tmp_path) as at:
        (tmp_path / "disk").write_bytes(DATA)
        source = glance.located(f"{at}/disk")
        (tmp_path / "disk").write_bytes(DATA + bytes(4096))
        id, after = fetched(near, source)
        assert (after["status"], after["os_hash_value"]) == ("active", hashlib.sha512(DATA).hexdigest())
        assert near.data(id) == DATA


class serving:
    """What is in a folder is served at GLANCE_WWW."""

    def __init__(self, folder: Path) -> None:
        host, port = WWW.split(":")
        handler = functools.partial(Quiet, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer((host, int(port)), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://{WWW}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""
