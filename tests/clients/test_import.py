"""Imports with the registry's clients as they are: `openstack image`, `glance` and openstacksdk, on three stores."""

import hashlib
import http.server
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from glanceclient.shell import OpenStackImagesShell
from openstack.connection import Connection
from openstackclient import shell

from tests.cli.host import Host
from tests.clients.conftest import account, said
from tests.conftest import state_directory

DATA = b"moorage" * 300_000
STORES = ("fast", "slow", "far")
CONFIG = """
[images]
copying_by_owners = true

[fetch]
allowed_networks = ["127.0.0.1/32"]
allowed_ports = [{port}]
"""
STORE = """
[[stores]]
id = "{id}"
path = "{path}"
description = "the {id} one"
weight = {weight}
"""


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/image" else 404)
        self.send_header("Content-Length", str(len(DATA)) if self.path == "/image" else "0")
        self.end_headers()
        if self.path == "/image":
            self.wfile.write(DATA)

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """A server on this host with an image at `/image`; its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def host(web: str) -> Iterator[Host]:
    with state_directory() as state:
        stores = [
            STORE.format(id=id, path=state / "stores" / id, weight=weight)
            for id, weight in zip(STORES, (30, 20, 10), strict=True)
        ]
        (state / "moorage.toml").write_text(CONFIG.format(port=web.rpartition(":")[2]) + "".join(stores))
        host = Host(state)
        yield host
        host.close()


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing comes by standard input, which both clients would take for an image."""
    monkeypatch.setattr("sys.stdin", _Terminal())


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "image"
    path.write_bytes(DATA)
    return str(path)


def run(*words: str, status: int = 0) -> str:
    return said(shell.main, ["--os-cloud", "moorage", "image", *words], status)


def told(*words: str) -> Any:
    """What a command says as JSON."""
    return json.loads(run(*words, "-f", "json"))


def glance(host: Host, *words: str, status: int = 0) -> str:
    auth = account(host, "moorage")
    named = [f"--os-{name.replace('_', '-')}={auth[name]}" for name in ("auth_url", "username", "password")]
    scope = [f"--os-project-name={auth['project_name']}", "--os-user-domain-name=Default"]
    return said(OpenStackImagesShell().main, [*named, *scope, "--os-project-domain-name=Default", *words], status)


def settled(connection: Connection, id: str) -> Any:
    """The image, once its import is over."""
    until = time.monotonic() + 60
    while True:
        image = connection.image.get(f"/images/{id}").json()
        if "os_glance_import_task" not in image:
            return image
        assert time.monotonic() < until, image
        time.sleep(0.05)


@pytest.fixture
def user(connect: Callable[[str], Connection]) -> Connection:
    return connect("moorage")


def whole(image: Any, *stores: str) -> None:
    """The image is active in these stores, and its hash is that of the data."""
    assert (image["status"], image["stores"], image["size"]) == ("active", ",".join(stores), len(DATA))
    assert image["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert (image["os_glance_failed_import"], image["os_glance_importing_to_stores"]) == ("", "")


def test_openstack_stages_and_imports(host: Host, user: Connection, file: str) -> None:
    info = told("import", "info")
    assert info["import-methods"] == ["glance-direct", "web-download", "copy-image"]
    assert {store["ID"] for store in told("stores", "list")} == set(STORES)
    id = told("create", "--disk-format", "raw", "--container-format", "bare", "staged")["id"]
    run("stage", "--file", file, id)
    assert told("show", id)["status"] == "uploading"
    run("import", "--method", "glance-direct", "--store", "fast", "far", "--wait", "--", id)
    whole(settled(user, id), "fast", "far")
    run("import", "--method", "copy-image", "--all-stores", "--allow-failure", "--wait", id)
    whole(settled(user, id), *STORES)
    tasks = user.image.get(f"/images/{id}/tasks").json()["tasks"]
    assert [task["status"] for task in tasks] == ["success", "success"]
    run("set", "--name", "other", "--property", "colour=blue", id)  # sends back what it was shown of the import, too
    assert user.image.get_image(id).name == "other"
    run("save", "--file", file + ".back", id)
    assert Path(file + ".back").read_bytes() == DATA
    run("delete", id)


def test_openstack_creates_by_import(host: Host, user: Connection, file: str) -> None:
    made = told("create", "--disk-format", "raw", "--container-format", "bare", "--import", "--file", file, "imported")
    whole(settled(user, made["id"]), "fast")


def test_openstack_imports_from_the_web(host: Host, user: Connection, admin: Connection, web: str) -> None:
    id = told("create", "--disk-format", "raw", "--container-format", "bare", "fetched")["id"]
    run("import", "--method", "web-download", "--uri", "http://127.0.0.1:1/image", id)  # 400, of which it says nothing
    assert told("show", id)["status"] == "queued"
    run("import", "--method", "web-download", "--uri", f"{web}/nothing", id)
    failed = settled(user, id)
    assert (failed["status"], failed["os_glance_failed_import"]) == ("queued", "fast")
    run("import", "--method", "web-download", "--uri", f"{web}/image", "--all-stores", id)
    whole(settled(user, id), *STORES)
    assert {"success", "failure"} <= {task.status for task in admin.image.tasks()}


def test_glance_imports_and_leaves_stores(host: Host, user: Connection, file: str, web: str) -> None:
    assert all(store in glance(host, "stores-info") for store in STORES)
    assert "copy-image" in glance(host, "import-info")
    formats = ["--disk-format=raw", "--container-format=bare"]
    direct = ["--import-method=glance-direct", f"--file={file}", "--stores=fast,slow"]
    glance(host, "image-create-via-import", *formats, *direct, "--name=one")
    (one,) = user.image.images(name="one")
    whole(settled(user, one.id), "fast", "slow")
    remote = ["--import-method=web-download", f"--uri={web}/image"]
    glance(host, "image-create-via-import", *formats, *remote, "--name=two")
    (two,) = user.image.images(name="two")
    whole(settled(user, two.id), "fast")
    glance(host, "image-import", two.id, "--import-method=copy-image", "--stores=far")
    whole(settled(user, two.id), "fast", "far")
    assert "403" in glance(host, "stores-delete", "--store=far", two.id, status=1)
    id = glance_id(glance(host, "image-create", *formats, "--name=three"))
    glance(host, "image-stage", "--file", file, id)
    glance(host, "image-import", id, "--import-method=glance-direct", "--all-stores=True")
    whole(settled(user, id), *STORES)
    assert "success" in glance(host, "image-tasks", id)


def glance_id(table: str) -> str:
    return next(line.split("|")[2].strip() for line in table.splitlines() if line.startswith("| id "))


def test_the_sdk_imports(host: Host, user: Connection, admin: Connection, web: str) -> None:
    image = user.image.create_image(name="sdk", disk_format="raw", container_format="bare", allow_duplicates=True)
    user.image.stage_image(image, data=DATA)
    user.image.import_image(user.image.get_image(image.id), "glance-direct", store="slow")
    whole(settled(user, image.id), "slow")
    copied = user.image.get_image(image.id)
    user.image.import_image(copied, "copy-image", stores=["fast", "far"], all_stores_must_succeed=True)
    whole(settled(user, image.id), *STORES)
    assert user.image.download_image(image.id).content == DATA
    admin.image.delete_image(image.id, store="far")
    assert settled(user, image.id)["stores"] == "fast,slow"
    task = admin.image.create_task(
        type="import",
        input={
            "import_from": f"{web}/image",
            "import_from_format": "raw",
            "image_properties": {"name": "by task", "container_format": "bare"},
        },
    )
    done = admin.image.wait_for_task(task, status="success", wait=60, interval=1)
    whole(settled(admin, done.result["image_id"]), "fast")
    assert task.id in {one.id for one in admin.image.tasks()}
