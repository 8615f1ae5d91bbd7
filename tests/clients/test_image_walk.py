"""Stores, locations and tasks of images with the registry's clients, where locations are open: also what is refused."""

import hashlib
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from glanceclient import shell as glance_shell
from openstack.connection import Connection
from openstackclient import shell

from tests.cli.host import Host
from tests.clients.conftest import account, said
from tests.clients.test_glance import Terminal, cells
from tests.conftest import state_directory

DATA = b"walking" * 100_000
SHA512 = hashlib.sha512(DATA).hexdigest()
FORMATS = ("--disk-format", "raw", "--container-format", "bare")
CONFIG = """
[images]
show_multiple_locations = true
[fetch]
allowed_networks = ["127.0.0.1/32"]
allowed_ports = [{port}]
[[stores]]
id = "fast"
path = "{state}/fast"
description = "the fast one"
weight = 2
[[stores]]
id = "slow"
path = "{state}/slow"
[[stores]]
id = "web"
kind = "http"
"""


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(DATA)

    do_HEAD = do_GET

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


class _Site(http.server.ThreadingHTTPServer):
    def handle_error(self, *who: Any) -> None:
        """Whoever looks only how much there is goes without the rest."""


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    with _Site(("127.0.0.1", 0), _Page) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{site.server_address[1]}"
        site.shutdown()


@pytest.fixture(scope="module")
def host(web: str) -> Iterator[Host]:
    with state_directory() as state:
        (state / "moorage.toml").write_text(CONFIG.format(port=web.rpartition(":")[2], state=state))
        host = Host(state)
        yield host
        host.close()


@pytest.fixture
def glance(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.stdin", Terminal())

    def run(*more: str, status: int = 0, as_: str = "moorage") -> str:
        auth, words = account(host, as_), list[str]()
        for name in ("auth_url", "username", "password", "project_name", "user_domain_name", "project_domain_name"):
            words += [f"--os-{name.replace('_', '-')}", auth.get(name, "Default")]
        monkeypatch.setattr("sys.argv", ["glance", *words, *more])
        return said(lambda argv: glance_shell.main(), [*words, *more], status)

    return run


@pytest.fixture
def user(connect: Callable[[str], Connection], monkeypatch: pytest.MonkeyPatch) -> Connection:
    monkeypatch.setattr("sys.stdin", Terminal())
    return connect("moorage")


def openstack(*words: str, status: int = 0, as_: str = "moorage-admin") -> str:
    return said(shell.main, ["--os-cloud", as_, *words], status)


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def active(user: Connection, id: str, stores: str) -> bool:
    image = user.image.get(f"/images/{id}").json()
    return image["status"] == "active" and image["stores"] == stores and image["os_hash_value"] == SHA512


def test_an_image_in_the_store_that_was_named_goes_to_another(glance: Any, user: Connection, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(DATA)
    id = cells(glance("image-create", *FORMATS, "--name", "placed", "--file", str(source), "--store", "slow"))["id"]
    assert active(user, id, "slow")
    glance("image-import", id, "--import-method", "copy-image", "--stores", "fast", as_="moorage-admin")
    until(lambda: active(user, id, "fast,slow"))
    assert "fast,slow" in glance("image-list", "--include-stores")
    assert "success" in glance("image-tasks", id)
    glance("image-download", id, "--prefer", "slow", "--progress", "--file", str(target))  # which checks the hash
    assert target.read_bytes() == DATA
    glance("stores-delete", "--store", "fast", id, as_="moorage-admin")
    assert active(user, id, "slow")
    assert "409" in glance("stores-delete", "--store", "nonesuch", id, as_="moorage-admin", status=1)
    assert "403" in glance("stores-delete", "--store", "slow", id, as_="moorage-admin", status=1)
    assert "only store" in openstack("image", "delete", "--store", "slow", id, status=1)


def test_stores_are_told_in_detail_to_administrators(
    host: Host, glance: Any, user: Connection, admin: Connection
) -> None:
    assert "403" in glance("stores-info", "--detail", status=1)
    assert '"data_dir"' in glance("stores-info", "--detail", as_="moorage-admin")
    listed = json.loads(openstack("image", "stores", "list", "--detail", "-f", "json"))
    assert [(store["ID"], store["Description"]) for store in listed] == [
        ("fast", "the fast one"), ("slow", None), ("web", None)
    ]  # fmt: skip
    assert user.image.get("/info/stores").json()["stores"][1:] == [{"id": "slow"}, {"id": "web", "read-only": "true"}]
    detailed = {store.id: store.properties for store in admin.image.stores(details=True)}
    assert (detailed["fast"]["data_dir"], detailed["web"]) == (str(host.state / "fast"), {})


@pytest.mark.parametrize("said", [True, False])
def test_data_that_are_on_the_web(glance: Any, user: Connection, web: str, said: bool) -> None:
    id = cells(glance("image-create", *FORMATS, "--name", "located"))["id"]
    words = ["--validation-data", json.dumps({"os_hash_algo": "sha512", "os_hash_value": SHA512})] if said else []
    glance("add-location", "--url", f"{web}/image", *words, id)
    until(lambda: active(user, id, "web"))
    assert "409" in glance("add-location", "--url", f"{web}/image", id, status=1)
    assert user.image.download_image(id).content == DATA


def test_locations_in_the_old_way(glance: Any, user: Connection, web: str) -> None:
    id, one, two = cells(glance("image-create", *FORMATS, "--name", "old"))["id"], f"{web}/one", f"{web}/two"
    assert one in glance("location-add", "--url", one, "--metadata", '{"a": "b"}', id)
    until(lambda: active(user, id, "web"))
    glance("location-add", "--url", two, "--checksum", hashlib.md5(DATA).hexdigest(), id, status=1)  # half a hash
    glance("location-add", "--url", two, "--hash-algo", "sha512", "--hash-value", SHA512, id)
    glance("location-update", "--url", one, "--metadata", '{"a": "c"}', id)
    locations = {place["url"]: place["metadata"] for place in user.image.get(f"/images/{id}").json()["locations"]}
    assert locations == {one: {"a": "c", "store": "web"}, two: {"store": "web"}}
    glance("location-delete", "--url", one, id, as_="moorage-admin")
    assert [place["url"] for place in user.image.get(f"/images/{id}").json()["locations"]] == [two]
    assert "403" in glance("location-delete", "--url", two, id, as_="moorage-admin", status=1)


def test_tasks_are_administrators(glance: Any, user: Connection, web: str) -> None:
    wanted = {
        "import_from": f"{web}/image",
        "import_from_format": "raw",
        "image_properties": {"container_format": "bare", "name": "by a task"},
    }
    words = ["--type", "import", "--input", json.dumps(wanted)]
    assert "403" in glance("task-create", *words, status=1)
    id = cells(glance("task-create", *words, as_="moorage-admin"))["id"]
    until(lambda: cells(glance("task-show", id, as_="moorage-admin"))["status"] == "success")
    assert id in glance("task-list", as_="moorage-admin")
    listed = json.loads(openstack("image", "task", "list", "--type", "import", "-f", "json"))
    (row,) = [row for row in listed if row["ID"] == id]
    assert (row["Type"], row["Status"]) == ("import", "success")
    shown = json.loads(openstack("image", "task", "show", id, "-f", "json"))
    assert shown["input"] == wanted
    assert openstack("image", "show", shown["result"]["image_id"], "-f", "value", "-c", "name").strip() == "by a task"
    openstack("image", "task", "list", as_="moorage", status=1)


def test_there_is_no_cache_and_clients_are_told(glance: Any, user: Connection) -> None:
    assert "caching API" in glance("cache-list", as_="moorage-admin", status=1)
    assert "404" in openstack("cached", "image", "list", status=1)
