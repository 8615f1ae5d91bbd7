"""Imports from the web: what is fetched is the image or leaves nothing, and never comes from inside."""

import gzip
import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from moorage.database import Database
from moorage.drivers.fetch.client import GuardedFetch
from moorage.drivers.fetch.settings import FetchSettings
from moorage.drivers.remotes.glance import GlanceDownload
from moorage.drivers.remotes.settings import RemoteSettings
from moorage.drivers.stores.http import HttpStore
from moorage.drivers.stores.s3.settings import S3Settings
from moorage.drivers.stores.s3.store import S3Store
from moorage.drivers.transformations.decompression import Decompression
from moorage.flows.images.incoming.web_download import WebDownload
from tests.drivers.fetch.web import Web, answer, web
from tests.image_faults.stores import PATIENCE_S, Moody
from tests.image_faults.test_imports import Place, place
from tests.image_faults.twins import twins
from tests.images.cloud import JSON

__all__ = ["place"]
DATA = os.urandom(1_500_000)
ELSEWHERE = "0f0e0d0c-0000-4000-8000-000000000009"
#: Ways to write an address of this machine, or of one inside.
INSIDE = (
    "127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0.0.0.0", "[::1]", "[::]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "169.254.169.254", "10.0.0.1", "192.168.0.1",
    "100.64.0.1", "[fe80::1]", "[fd00::1]", "[2002:7f00:1::]", "user@127.0.0.1", "127.0.0.1.", "①②⑦.⓪.⓪.①",
)  # fmt: skip


@pytest.fixture
def site() -> Iterator[Web]:
    with web() as server:
        yield server


def opened(place: Place, site: Web, resolve: Any = None, **settings: Any) -> None:
    """Imports from the web are open, as far as `settings` say."""
    fetch = GuardedFetch(FetchSettings(allowed_ports=(site.port,), idle_timeout_s=5.0, **settings), resolve)
    for cloud in place.cloud.clouds:
        cloud.rooms.methods = {WebDownload.name: WebDownload(fetch)}  # type: ignore[misc]


def here(place: Place, site: Web) -> None:
    opened(place, site, allowed_networks=("127.0.0.1/32",))


def ask(place: Place, id: str, url: str, *stores: str) -> Any:
    return place.take_in(id, *stores, method={"name": "web-download", "uri": url})


def nothing_is_left(place: Place, id: str) -> None:
    place.rest()
    image = place.cloud.show(id)
    assert (image["status"], image["size"], image["checksum"], place.keys(id)[0]) == ("queued", None, None, "")
    assert (place.objects(), place.waiting) == (set(), frozenset())


def test_image_lp_1795950_1895663_what_was_fetched_is_the_image_and_nothing_else_stays(place: Place, site: Web) -> None:
    here(place, site)
    site.pages["/image"] = answer(200, DATA)
    id = place.cloud.next.image()
    assert ask(place, id, site.url("/image"), "one", "two").status == 202
    place.rest()
    image = place.cloud.show(id)
    assert (image["status"], image["size"], image["virtual_size"]) == ("active", len(DATA), len(DATA))
    assert place.cloud.data(id).body == DATA
    assert (len(place.objects()), place.waiting) == (2, frozenset())


@pytest.mark.parametrize("way", ["cut", "missing", "refused", "not-what-it-is-said-to-be", "store"])
def test_image_lp_1803299_1914826_what_could_not_be_fetched_leaves_nothing_and_the_image_as_it_was(
    place: Place, site: Web, way: str
) -> None:
    here(place, site)
    short = answer(200, DATA[:100_000], Content_Length=str(len(DATA)))
    site.pages["/image"] = {"cut": short, "missing": answer(404), "refused": answer(403)}.get(way, answer(200, DATA))
    id = place.cloud.next.image(disk_format="qcow2" if way == "not-what-it-is-said-to-be" else "raw")
    place.stores["one"].failing = {"write"} if way == "store" else set()
    assert ask(place, id, site.url("/image"), "one").status == 202
    nothing_is_left(place, id)
    (task,) = place.tasks(id)
    assert (task["status"], bool(task["message"])) == ("failure", True)
    place.stores["one"].failing = set()
    site.pages["/image"] = answer(200, DATA)
    if way != "not-what-it-is-said-to-be":
        assert ask(place, id, site.url("/image"), "one").status == 202
        place.rest()
        assert place.cloud.data(id).body == DATA


def test_a_fetch_that_meets_a_delete_leaves_nothing(place: Place, site: Web) -> None:
    here(place, site)
    asked, go = threading.Event(), threading.Event()

    def slowly(client: socket.socket) -> None:
        client.sendall(answer(200, DATA[:700_000], Content_Length=str(len(DATA))))
        asked.set()
        go.wait(PATIENCE_S)
        client.sendall(DATA[700_000:])

    site.pages["/image"] = slowly
    for pause_s in (0.0, 0.1, 0.3):
        asked.clear()
        id = place.cloud.next.image()
        assert ask(place, id, site.url("/image"), "one").status == 202
        assert asked.wait(PATIENCE_S)
        time.sleep(pause_s)
        assert place.cloud.delete(id).status == 204
        go.set()
        place.rest()
        assert (place.objects(), place.waiting) == (set(), frozenset())
        go.clear()


def test_image_lp_2138602_2138672_addresses_inside_are_refused_however_they_are_written(
    place: Place, site: Web
) -> None:
    opened(place, site)
    site.pages["/image"] = answer(200, DATA)
    id = place.cloud.next.image()
    for host in INSIDE:
        reply = ask(place, id, f"http://{host}:{site.port}/image", "one")
        assert reply.status in (400, 403), (host, reply.body)
    for url in ("file:///etc/passwd", "gopher://x/", "ftp://x/", f"http://127.0.0.1:{site.port + 1}/", "http:///", "x"):
        assert ask(place, id, url, "one").status in (400, 403), url
    assert (site.asked, place.tasks(id)) == ([], [])
    nothing_is_left(place, id)


def test_image_lp_2138675_2152110_neither_a_redirection_nor_a_name_that_changes_leads_inside(
    place: Place, site: Web
) -> None:
    site.pages["/inside"] = answer(200, DATA)
    outside = 0  # how often the name still leads outside

    def resolve(name: str, port: int) -> list[str]:
        nonlocal outside
        outside -= 1
        return ["203.0.113.7" if outside >= 0 else "127.0.0.1"]

    opened(place, site, resolve, connect_timeout_s=1.0)
    id = place.cloud.next.image()
    for outside in range(4):  # noqa: B007 `resolve` counts it down
        reply = ask(place, id, f"http://changing.example.org:{site.port}/inside", "one")
        assert reply.status in (202, 400, 403)
        nothing_is_left(place, id)
    assert site.asked == []  # who asked for the name again, between looking at it and connecting, would be here
    here(place, site)
    with neighbour(site) as other:
        site.pages["/moved"] = answer(302, Location=f"http://127.0.0.3:{site.port}/inside")
        assert ask(place, id, site.url("/moved"), "one").status == 202
        nothing_is_left(place, id)
        assert [head.split()[1] for head in site.asked] == ["/moved"]
        assert other.asked == []
        opened(place, site, allowed_networks=("127.0.0.0/8",))  # were it open, the image would be there
        assert ask(place, id, site.url("/moved"), "one").status == 202
        place.rest()
        assert (place.cloud.data(id).body, len(other.asked)) == (DATA, 1)


@contextmanager
def neighbour(site: Web) -> Iterator[Web]:
    """A server at the same port of another address of this machine, with the same image."""
    other = Web(host="127.0.0.3", port=site.port)
    other.pages["/inside"] = other.pages["/image"] = answer(200, DATA)
    try:
        yield other
    finally:
        other.close()


def test_image_lp_2127798_a_place_shows_no_credentials_of_its_store(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROOF_SECRET", "very-secret-word")
    settings = S3Settings(
        endpoint="http://someone:word@127.0.0.1:1", bucket="b", access_key="known", secret_key_env="PROOF_SECRET"
    )
    store = S3Store("objects", settings)
    try:
        shown = f"{store.url('images/a/1-1')} {store.properties()}"
        assert not [word for word in ("very-secret-word", "someone", "word@", "known") if word in shown]
    finally:
        store.close()


@pytest.mark.parametrize("way", ["no-secret", "nobody-there", "no-identity"])
def test_image_fault_i8_a_remote_that_fails_before_a_byte_has_come_leaves_the_image_as_it_was(
    place: Place, site: Web, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way != "no-secret":
        monkeypatch.setenv("PROOF_SECRET", "very-secret-word")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1] if way == "nobody-there" else site.port
        remote = RemoteSettings(
            name="there", auth_url=f"http://127.0.0.1:{port}/v3", username="u", project="p", secret_env="PROOF_SECRET"
        )
        for cloud in place.cloud.clouds:
            cloud.rooms.methods = {GlanceDownload.name: GlanceDownload([remote])}  # type: ignore[misc]
        method = {"name": "glance-download", "glance_region": "there", "glance_image_id": ELSEWHERE}
        id = place.cloud.next.image()
        assert place.take_in(id, "one", "two", method=method).status == 202
        nothing_is_left(place, id)
    (task,) = place.tasks(id)
    assert task["status"] == "failure"
    assert "there" in task["message"]
    assert "very-secret-word" not in task["message"]
    assert place.stage(id).status == 204
    assert place.take_in(id, "one").status in (202, 400)
    assert place.cloud.delete(id).status == 204


# ---- data that others have put somewhere


@pytest.fixture
def adopting(database: Database, state_dir: Path, site: Web) -> Iterator[Place]:
    """Two services that take in what is at URLs of the site."""
    fetch = GuardedFetch(
        FetchSettings(allowed_ports=(site.port,), allowed_networks=("127.0.0.1/32",), idle_timeout_s=5.0)
    )
    stores = {"web": HttpStore("web", fetch), "one": Moody("one", state_dir / "stores")}
    with twins(database, state_dir, stores) as cloud:
        yield Place(cloud, {"one": stores["one"]})  # type: ignore[dict-item]


def say(place: Place, id: str, url: str, hash_value: str | None = None) -> Any:
    """Say, as a service, that the image's data are at `url`."""
    body: dict[str, Any] = {"url": url}
    if hash_value is not None:
        body["validation_data"] = {"os_hash_algo": "sha512", "os_hash_value": hash_value}
    return place.cloud.call("POST", f"/{id}/locations", body, as_="cinder", headers=JSON)


def assert_untouched(place: Place, id: str) -> None:
    place.rest()
    image = place.cloud.show(id)
    assert (image["status"], image["size"], image["checksum"], image["os_hash_value"]) == ("queued", None, None, None)
    assert place.held(id) == set()
    assert place.cloud.data(id).status == 204


def test_image_fault_i11_a_wrong_place_or_a_wrong_hash_leaves_the_image_as_it_was(adopting: Place, site: Web) -> None:
    place, right = adopting, hashlib.sha512(DATA).hexdigest()
    site.pages["/image"] = answer(200, DATA)
    bare = str(place.cloud.call("POST", "", {"name": "without formats", "visibility": "community"}).json["id"])
    assert say(place, bare, site.url("/image")).status == 400
    id = place.cloud.next.image(visibility="community")
    for url in (site.url("/none"), "ftp://x/y", "x", f"http://10.0.0.1:{site.port}/image"):
        assert say(place, id, url).status >= 400, url
        assert_untouched(place, id)
    for wrong in ("abc", "zz" * 64):
        assert say(place, id, site.url("/image"), wrong).status == 400
    assert say(place, id, site.url("/image"), "0" * 128).status == 202
    assert_untouched(place, id)
    assert [task["status"] for task in place.tasks(id)] == ["failure"]
    assert say(place, id, site.url("/image"), right).status == 202
    place.rest()
    image = place.cloud.show(id)
    assert (image["status"], image["os_hash_value"], image["size"]) == ("active", right, len(DATA))


def test_image_lp_2161330_a_place_inside_is_refused_however_it_is_written(adopting: Place, site: Web) -> None:
    place = adopting
    site.pages["/image"] = answer(200, DATA)
    site.pages["/moved"] = answer(302, Location=f"http://127.0.0.3:{site.port}/image")
    id = place.cloud.next.image(visibility="community")
    for host in INSIDE:
        if host not in ("127.0.0.1", "user@127.0.0.1", "localhost", "127.0.0.1."):
            assert say(place, id, f"http://{host}:{site.port}/image").status >= 400, host
    with neighbour(site) as other:
        assert say(place, id, site.url("/moved")).status >= 400
        assert say(place, id, f"http://127.0.0.3:{site.port}/image").status >= 400
        assert other.asked == []
    assert say(place, id, "file:///etc/passwd").status >= 400
    assert not [head for head in site.asked if head.startswith("GET /image")]
    assert_untouched(place, id)


def test_image_lp_2045769_deleting_an_image_ends_the_hashing_of_its_data(adopting: Place, site: Web) -> None:
    place, asked, go = adopting, threading.Event(), threading.Event()
    looks = 0

    def slowly(client: socket.socket) -> None:
        nonlocal looks
        looks += 1
        client.sendall(answer(200, DATA[:1000], Content_Length=str(len(DATA))))
        if looks > 1:  # the first look is for the length alone
            asked.set()
        go.wait(PATIENCE_S)

    site.pages["/image"] = slowly
    id = place.cloud.next.image(visibility="community")
    assert say(place, id, site.url("/image")).status == 202
    assert asked.wait(PATIENCE_S)
    assert place.cloud.delete(id).status == 204
    place.rest()
    assert place.cloud.call("GET", f"/{id}", as_="root").status == 404
    go.set()


def test_image_lp_2132607_an_image_that_was_unpacked_is_as_large_as_what_came_out(place: Place) -> None:
    content = DATA[:300_000] * 8
    for cloud in place.cloud.clouds:
        cloud.rooms.transformations = (Decompression({"one"}),)  # type: ignore[misc]
    id = place.cloud.next.image()
    assert place.stage(id, gzip.compress(content, 1)).status == 204
    assert place.take_in(id, "one").status == 202
    place.rest()
    image = place.cloud.show(id)
    assert (image["status"], image["size"], image["virtual_size"]) == ("active", len(content), len(content))
    assert image["checksum"] == hashlib.md5(content).hexdigest()
    assert place.cloud.data(id).body == content
