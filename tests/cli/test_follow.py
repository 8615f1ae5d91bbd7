"""`moorage image import`, `image copy` and `follow`: how far it is, in all and with each store, and how it ended."""

import http.server
import io
import re
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from moorage.cli.bar import Bar, line
from tests.cli.host import Host
from tests.conftest import state_directory

SIZE = 6 << 20
CONFIG = """
[images]
copying_by_owners = true
[fetch]
allowed_networks = ["127.0.0.1/32"]
allowed_ports = [{port}]
"""
STORE = '[[stores]]\nid = "{id}"\npath = "{path}"\n'


class Site(http.server.ThreadingHTTPServer):
    """Gives half of an image at once, and the other half bit by bit until `whole` is set."""

    daemon_threads = True

    def __init__(self) -> None:
        self.whole = threading.Event()
        super().__init__(("127.0.0.1", 0), _Page)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Page(http.server.BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        found = self.path == "/image"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(SIZE if found else 0))
        self.end_headers()
        if found:
            self._send()

    def _send(self) -> None:
        left = SIZE // 2
        self.wfile.write(bytes(left))
        while not self.server.whole.wait(0.3) and left > 1 << 20:
            self.wfile.write(bytes(1 << 14))
            left -= 1 << 14
        self.wfile.write(bytes(left))

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site() as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield site
        site.whole.set()
        site.shutdown()


@pytest.fixture(scope="module")
def host(site: Site) -> Iterator[Host]:
    with state_directory() as state:
        stores = "".join(STORE.format(id=id, path=state / "stores" / id) for id in ("near", "far", "third"))
        (state / "moorage.toml").write_text(CONFIG.format(port=site.server_address[1]) + stores)
        host = Host(state)
        yield host
        host.close()


def image(host: Host, name: str) -> str:
    body = {"name": name, "disk_format": "raw", "container_format": "bare"}
    return str(host.server.call("POST", "/image/v2/images", body).json["id"])


def test_an_import_is_seen_coming_and_a_copy_too(host: Host, site: Site) -> None:
    id = image(host, "coming")
    site.whole.clear()
    importing = host.start(
        "image", "import", "coming", "--uri", f"{site.url}/image", "--store", "near", "--store", "far"
    )
    assert importing.stderr is not None
    for seen in importing.stderr:
        if re.search(r"import-image: obtain  \[#+\.+\]  [5-9]\d %  [3-5] of 6 MiB  near: 0 %  far: 0 %", seen):
            break
    else:
        pytest.fail("nobody said how far it was")
    following = host.start("follow", id)
    left = host.start("follow", id)
    assert left.stderr is not None and "obtain" in left.stderr.readline()
    left.send_signal(signal.SIGINT)
    assert "goes on" in left.communicate(timeout=60)[1]
    assert left.returncode == 130
    site.whole.set()
    for command in (importing, following):
        said = command.communicate(timeout=60)[0]
        assert (command.returncode, said) == (0, f"import-image of image {id}: done, in near, far\n")
    assert host.server.call("GET", f"/image/v2/images/{id}").json["size"] == SIZE
    task = host.server.call("GET", f"/image/v2/images/{id}/tasks").json["tasks"][0]["id"]
    progress = host.server.call("GET", f"/moorage/v1/operations/{task}").json["operation"]["progress"]
    assert [(store["id"], store["state"], store["done"]) for store in progress["stores"]] == [
        ("near", "done", SIZE),
        ("far", "done", SIZE),
    ]
    assert "done, in third" in host.run("image", "copy", id, "--all-stores")
    assert "has it already" in host.run("image", "copy", id, "--all-stores")


def test_what_failed_is_said_of_each_store(host: Host, site: Site) -> None:
    id = image(host, "failing")
    said = host.run("image", "import", id, "--uri", f"{site.url}/nothing", "--store", "far", status=1)
    assert f"import-image of image {id} was taken back" in said and "404" in said and "\n  far: " in said
    assert "1 images" not in host.run("image", "copy", "nonesuch", "--all-stores", status=1)
    host.run("image", "import", id, "--region", "elsewhere", status=2)
    assert host.run("image", "copy", id, "--store", "far", status=1).startswith("Error: ")


def test_one_may_go_without_waiting(host: Host, site: Site) -> None:
    id = image(host, "alone")
    site.whole.set()
    task = host.run("image", "import", id, "--uri", f"{site.url}/image", "--no-wait")
    assert "done, in near" in host.run("follow", task)
    assert "follow" not in host.run("follow", image(host, "idle"), status=1)


def test_whoever_follows_hears_that_it_was_cancelled(host: Host, site: Site) -> None:
    id = image(host, "cancelled")
    site.whole.clear()
    importing = host.start("image", "import", id, "--uri", f"{site.url}/image", "--store", "far")
    assert importing.stderr is not None and "import-image: obtain" in importing.stderr.readline()
    assert "cancelled" in host.run("cancel", id)
    said = importing.communicate(timeout=60)[1]
    assert importing.returncode == 1 and "was taken back" in said and "cancelled" in said
    assert host.server.call("GET", f"/image/v2/images/{id}").json["status"] == "queued"


OPERATION = {"kind": "copy-image", "step": "copy", "going_back": False}


def test_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stores = [
        {"id": "a", "state": "waiting", "done": 1 << 20, "reason": None},
        {"id": "b", "state": "failed", "done": 0, "reason": "it is full"},
    ]
    half = {**OPERATION, "progress": {"done": 1 << 20, "size": 2 << 20, "stores": stores}}
    assert line(half) == "copy-image: copy  [############............]  50 %  1 of 2 MiB  a: 50 %  b: failed"
    unknown = {**OPERATION, "progress": {"done": 1 << 20, "size": None, "stores": stores[:1]}}
    assert line(unknown) == "copy-image: copy  1 MiB  a: 1 MiB"
    small = {**OPERATION, "progress": {"done": 1000, "size": 1000, "stores": []}}
    assert line(small) == "copy-image: copy  [########################] 100 %  1 of 1 MiB"
    assert line({**OPERATION, "going_back": True}) == "copy-image: going back, copy"
    for terminal, drawn in ((True, 3), (False, 1)):
        out = io.StringIO()
        monkeypatch.setattr(out, "isatty", lambda terminal=terminal: terminal)
        monkeypatch.setattr("sys.stderr", out)
        monkeypatch.setenv("COLUMNS", "40")
        bar = Bar()
        for _ in range(3):
            bar.draw(half)
        bar.end()
        assert out.getvalue().count("copy-image") == drawn
        assert all(len(part) < 40 for part in out.getvalue().split("\r\x1b[K")) is terminal
