"""Imports from another cloud: a real Moorage process, behind a tap that sees all that is said to it."""

import json
import socket
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from moorage.config import StoreSettings
from moorage.drivers.fetch.settings import FetchSettings
from moorage.drivers.remotes.settings import RemoteSettings
from moorage.images.settings import ImageSettings
from tests.cloud import running
from tests.drivers.fetch.web import web
from tests.hostile.make import qcow2
from tests.safety.ways import Scene
from tests.server import Process, down

DATA = bytes(range(256)) * 4096
COPIED = {"hw_disk_bus": "scsi", "trait:CUSTOM_X": "required", "os_distro": "debian", "os_type": "linux"}
KEPT_BACK = {"owner_note": "mine", "os_version": "12", "img_signature": "AAAA"}


class Tap:
    """Passes every connection on to `port`, and keeps what clients say."""

    def __init__(self, port: int) -> None:
        self._port, self.heard = port, bytearray()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket, listen: bool) -> None:
        try:
            while data := one.recv(65536):
                if listen:
                    self.heard += data
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@dataclass
class Far:
    """The other cloud."""

    process: Process
    tap: Tap
    state: Path

    def call(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Any:
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", self.process.port, timeout=60)
        connection.request(method, path, body, {"X-Auth-Token": self.process.token(), "Content-Type": kind})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status < 300, text
        return json.loads(text) if text else None

    def image(self, data: bytes | None = DATA, disk_format: str = "raw", **properties: str) -> str:
        asked = {"name": "far", "disk_format": disk_format, "container_format": "bare", **properties}
        id = str(self.call("POST", "/image/v2/images", json.dumps(asked).encode())["id"])
        if data is not None:
            self.call("PUT", f"/image/v2/images/{id}/file", data, "application/octet-stream")
        return id


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    state = tmp_path_factory.mktemp("far") / "state"
    process = Process(state).ready()
    tap = Tap(process.port)
    yield Far(process, tap, state)
    tap.close()
    down(state)


@pytest.fixture
def near(far: Far, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    auth = yaml.safe_load((far.state / "clouds.yaml").read_text())["clouds"]["moorage"]["auth"]
    monkeypatch.setenv("FAR_SECRET", auth["password"])
    remote = RemoteSettings(
        name="far",
        auth_url=f"http://127.0.0.1:{far.tap.port}/identity/v3",
        username=auth["username"],
        project=auth["project_name"],
        secret_env="FAR_SECRET",
    )
    silent = RemoteSettings(name="silent", auth_url="http://127.0.0.1:9/v3", username="x", secret_env="FAR_SECRET")
    images = ImageSettings(import_methods=("glance-direct", "glance-download"))
    with (
        web() as site,
        running(
            state_dir,
            stores=(StoreSettings(default=True),),
            images=images,
            remotes=(remote, silent),
            fetch=FetchSettings(),
        ) as cloud,
    ):
        yield Scene(cloud, site, state_dir)


def asked(image: str, **more: str) -> dict[str, str]:
    return {"name": "glance-download", "glance_region": "far", "glance_image_id": image, **more}


def nameless(near: Scene) -> str:
    """An image without formats, which come along."""
    return str(near.cloud.call("POST", "/image/v2/images", {"name": "near", "os_type": "other"}).json["id"])


def test_an_image_comes_with_its_formats_and_what_belongs_to_it(near: Scene, far: Far) -> None:
    id = nameless(near)
    assert near.start(id, asked(far.image(**COPIED, **KEPT_BACK))).status == 202
    shown = near.finished(id)
    assert shown["status"] == "active", shown
    assert (shown["disk_format"], shown["container_format"], shown["size"]) == ("raw", "bare", len(DATA))
    assert {name: shown.get(name) for name in COPIED} == {**COPIED, "os_type": "other"}  # ours stands
    assert not KEPT_BACK.keys() & shown.keys()
    assert near.data(id) == DATA


def test_the_token_of_whoever_imports_goes_nowhere(near: Scene, far: Far) -> None:
    id, source = nameless(near), far.image()
    far.tap.heard.clear()
    assert near.start(id, asked(source)).status == 202
    assert near.finished(id)["status"] == "active"
    assert b"/v2/images/" + source.encode() in far.tap.heard
    assert near.cloud.token().encode() not in far.tap.heard


def test_no_secret_is_in_the_journal(near: Scene, far: Far) -> None:
    import os

    id = nameless(near)
    near.start(id, asked(far.image()))
    near.finished(id)
    secret = os.environ["FAR_SECRET"].encode()
    for path in near.state.glob("moorage.db*"):
        assert secret not in path.read_bytes()


# fmt: off
REFUSED = {
    "an unknown region":      {"glance_region": "nowhere"},
    "an unknown interface":   {"glance_service_interface": "private"},
    "no uuid":                {"glance_image_id": "../../identity"},
}
# fmt: on


@pytest.mark.parametrize("what", REFUSED)
def test_what_makes_no_sense_is_refused_at_once(near: Scene, what: str) -> None:
    id = nameless(near)
    reply = near.start(id, {**asked(str(uuid.uuid4())), **REFUSED[what]})
    assert reply.status == 400, reply.body
    assert near.show(id)["status"] == "queued"


@pytest.mark.parametrize("what", ["not there", "not active"])
def test_what_cannot_be_had_leaves_the_image_queued(near: Scene, far: Far, what: str) -> None:
    id = nameless(near)
    assert near.start(id, asked(str(uuid.uuid4()) if what == "not there" else far.image(None))).status == 202
    after = near.finished(id)
    assert (after["status"], after["task"]) == ("queued", "failure")
    assert what in after["reason"]
    assert after["disk_format"] is None
    near.empty()


def test_hostile_content_is_refused_here_too(near: Scene, far: Far) -> None:
    """The other cloud may look at less than we do; there, it is in a container that nobody looks into."""
    asked_there = {"name": "far", "disk_format": "qcow2", "container_format": "ova"}
    source = str(far.call("POST", "/image/v2/images", json.dumps(asked_there).encode())["id"])
    far.call("PUT", f"/image/v2/images/{source}/file", qcow2(backing=112), "application/octet-stream")
    id = near.create("qcow2", "bare")
    assert near.start(id, asked(source)).status == 202
    after = near.finished(id)
    assert after["status"] == "queued" and "backing file" in after["reason"]
    near.empty()


def test_a_cloud_that_is_away_is_told_as_such(near: Scene, far: Far) -> None:
    id = nameless(near)
    assert near.start(id, {**asked(str(uuid.uuid4())), "glance_region": "silent"}).status == 202
    after = near.finished(id)
    assert after["status"] == "queued" and "does not answer" in after["reason"]
    assert "127.0.0.1" not in after["reason"]
