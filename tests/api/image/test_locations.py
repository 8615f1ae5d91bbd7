"""Data that others have put somewhere become an image's: compared with what is said of them before anybody sees it."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from moorage.database import Database
from moorage.drivers.fetch.client import GuardedFetch
from moorage.drivers.fetch.settings import FetchSettings
from moorage.drivers.stores.files import FilesStore
from moorage.drivers.stores.http import HttpStore
from moorage.images.locations import location
from moorage.images.records import images
from moorage.operations import journal
from moorage.operations.records import operations
from tests.drivers.fetch.web import answer, web
from tests.images.cloud import PATCH, ImageCloud, Reply, running
from tests.patience import until

DATA = os.urandom((4 << 20) + 77)
SHA512, MD5 = hashlib.sha512(DATA).hexdigest(), hashlib.md5(DATA).hexdigest()
HOSTILE = b"QFI\xfb" + (3).to_bytes(4, "big") + (104).to_bytes(8, "big") + (9).to_bytes(4, "big") + bytes(1 << 20)


class Web:
    """A cloud beside a web server."""

    def __init__(self, cloud: ImageCloud, site: Any) -> None:
        self.cloud, self.site = cloud, site
        self.serve("/disk.raw", DATA)

    def serve(self, path: str, data: bytes) -> str:
        self.site.pages[path] = lambda connection: connection.sendall(answer(200, data))
        return str(self.site.url(path))

    def add(self, id: str, url: str | None = None, as_: str = "alice", **said: Any) -> Reply:
        body = {"url": url or self.site.url("/disk.raw"), **({"validation_data": said} if said else {})}
        return self.cloud.call("POST", f"/image/v2/images/{id}/locations", body, as_=as_)

    def task(self, id: str, as_: str = "alice") -> dict[str, Any]:
        (found,) = self.cloud.call("GET", f"/image/v2/images/{id}/tasks", as_=as_).json["tasks"]
        return dict(found)


@pytest.fixture
def make(database: Database, state_dir: Path) -> Iterator[Callable[..., Web]]:
    """A cloud with these settings of images."""
    with web() as site:
        fetch = FetchSettings(
            allowed_networks=("127.0.0.1/32",), allowed_ports=(site.port,), idle_timeout_s=5.0, connect_timeout_s=2.0
        )
        stores = {"files": FilesStore("files", state_dir), "web": HttpStore("web", GuardedFetch(fetch))}
        opened = []

        def made(**settings: Any) -> Web:
            context = running(database, state_dir, stores, hash_rate_mib=0, **settings)
            opened.append(context)
            return Web(context.__enter__(), site)

        yield made
        for context in opened:
            context.__exit__(None, None, None)


def queued_without_a_trace(it: Web, id: str) -> None:
    image = it.cloud.show(id)
    hashes = [image[name] for name in ("checksum", "os_hash_algo", "os_hash_value", "size", "virtual_size")]
    assert (image["status"], hashes, "stores" in image) == ("queued", [None] * 5, False)
    assert it.cloud.call("GET", f"/image/v2/images/{id}/locations", as_="root").json == []
    assert it.cloud.call("GET", f"/image/v2/images/{id}/file").status == 204


def test_without_a_hash_it_is_active_at_once_and_hashed_later(make: Callable[..., Web]) -> None:
    it = make()
    id = it.cloud.image()
    reply = it.add(id)
    assert (reply.status, reply.body) == (202, b"")
    image = it.cloud.show(id)
    assert (image["status"], image["size"], image["stores"], image["os_hash_algo"]) == (
        "active",
        len(DATA),
        "web",
        "sha512",
    )
    until(lambda: it.cloud.show(id)["checksum"] is not None)
    image = it.cloud.show(id)
    assert (image["checksum"], image["os_hash_value"]) == (MD5, SHA512)
    assert it.cloud.call("GET", f"/image/v2/images/{id}/file").body == DATA
    (shown,) = it.cloud.call("GET", f"/image/v2/images/{id}/locations", as_="root").json
    assert shown == {"url": it.site.url("/disk.raw"), "metadata": {"store": "web"}}
    assert it.task(id)["status"] == "success"
    assert it.cloud.call("DELETE", f"/image/v2/images/{id}").status == 204
    assert it.add(it.cloud.image()).status == 202  # any number of images may name it


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512"])
def test_with_a_hash_it_is_active_when_the_data_are_that(make: Callable[..., Web], algorithm: str) -> None:
    it = make()
    id, value = it.cloud.image(), hashlib.new(algorithm, DATA).hexdigest()
    assert it.add(id, os_hash_algo=algorithm, os_hash_value=value.upper()).status == 202
    until(lambda: it.cloud.show(id)["status"] == "active")
    image = it.cloud.show(id)
    assert (image["os_hash_algo"], image["os_hash_value"], image["checksum"]) == (algorithm, value, MD5)
    task = it.task(id)
    assert (task["type"], task["status"], task["user_id"]) == ("location_import", "success", "alice")


def test_I11_data_that_are_not_what_was_said_leave_the_image_queued_and_no_location(make: Callable[..., Web]) -> None:
    it = make()
    id = it.cloud.image()
    assert it.add(id, os_hash_algo="sha512", os_hash_value="0" * 128).status == 202
    until(lambda: it.cloud.show(id)["status"] == "queued")
    queued_without_a_trace(it, id)
    task = it.task(id)
    assert task["status"] == "failure" and SHA512 in task["message"]
    assert it.cloud.upload(id, b"what was to be uploaded").status == 204


def test_I11_what_can_be_known_beforehand_is_refused_at_once(make: Callable[..., Web]) -> None:
    it = make()
    id = it.cloud.image()
    wrong = [
        {"os_hash_algo": "sha512"},
        {"os_hash_value": "0" * 128},
        {"os_hash_algo": "crc32", "os_hash_value": "0" * 8},
        {"os_hash_algo": "md5", "os_hash_value": "0" * 40},
        {"os_hash_algo": "md5", "os_hash_value": "x" * 32},
        {"os_hash_algo": "md5", "os_hash_value": "0" * 32, "more": "x"},
    ]
    assert [it.add(id, **said).status for said in wrong] == [400] * len(wrong)
    urls = ["http://169.254.169.254/latest", "http://localhost:1/x", "ftp://x/y", "x", f"http://127.0.0.1/{'x' * 300}"]
    assert [it.add(id, url).status for url in urls] == [400, 400, 403, 403, 400]
    services = ["file:///etc/passwd", "swift+config://x/y", "cinder://nowhere", "rbd://a/b/c/d"]
    assert [it.add(id, url, as_="root").status for url in services] == [400] * 4
    assert it.add(id, it.site.url("/nothing")).status in (400, 503)
    formless = it.cloud.image(disk_format=None, container_format=None)
    assert it.add(formless).status == 400
    assert it.add(id, as_="bob").status == 404
    assert it.add(it.cloud.filled()).status == 409
    for one in (id, formless):
        queued_without_a_trace(it, one)
        assert it.cloud.call("GET", f"/image/v2/images/{one}/tasks").json["tasks"] == []


def test_I13_a_task_that_a_service_began_is_shown_to_the_owner(make: Callable[..., Web]) -> None:
    it = make()
    id = it.cloud.image(visibility="community")
    assert it.add(id, as_="cinder", os_hash_algo="md5", os_hash_value="0" * 32).status == 202
    until(lambda: it.cloud.show(id)["status"] == "queued")
    task = it.task(id)
    assert (task["status"], task["user_id"], task["owner"]) == ("failure", "cinder", "project-a")
    assert it.cloud.call("GET", f"/image/v2/images/{id}/tasks", as_="bob").json["tasks"] == []


def test_only_services_say_what_is_where_not_everybody_can_look(make: Callable[..., Web]) -> None:
    it = make()
    community = it.cloud.image(visibility="community")
    assert it.add(community, as_="bob").status == 403
    assert it.add(community, as_="anna").status == 403
    assert it.cloud.call("GET", f"/image/v2/images/{community}/locations").status == 403


def test_a_deleted_image_is_not_hashed_on(make: Callable[..., Web]) -> None:
    it = make()
    id, stalled = it.cloud.image(), []

    def stall(connection: Any) -> None:
        connection.sendall(answer(200, DATA)[: 1 << 20])
        stalled.append(connection)
        time.sleep(1)

    it.site.pages["/slow.raw"] = stall
    assert it.add(id, it.site.url("/slow.raw")).status == 202
    assert it.cloud.call("DELETE", f"/image/v2/images/{id}").status == 204
    assert it.cloud.call("GET", f"/image/v2/images/{id}").status == 404

    def over() -> bool:
        with it.cloud.database.read() as tx:
            return tx.all(select(operations).where(journal.is_open())) == []

    until(over)


def test_data_that_are_no_disk_of_that_kind_are_taken_out_of_use(make: Callable[..., Web]) -> None:
    it = make()
    id = it.cloud.image()
    assert it.add(id, it.serve("/hostile.raw", HOSTILE)).status == 202
    until(lambda: it.cloud.show(id)["status"] == "deactivated")
    assert it.cloud.show(id)["checksum"] is None
    assert it.cloud.call("GET", f"/image/v2/images/{id}/file").status == 403
    said = it.cloud.image()
    value = hashlib.md5(HOSTILE).hexdigest()
    assert it.add(said, it.site.url("/hostile.raw"), os_hash_algo="md5", os_hash_value=value).status == 202
    until(lambda: it.cloud.show(said)["status"] == "queued")
    queued_without_a_trace(it, said)


@pytest.mark.parametrize("told", [True, False])
def test_whoever_does_not_want_hashes_computed_gets_what_was_said_or_none(make: Callable[..., Web], told: bool) -> None:
    it = make(do_secure_hash=False)
    id = it.cloud.image()
    said = {"os_hash_algo": "sha512", "os_hash_value": SHA512} if told else {}
    assert it.add(id, **said).status == 202
    image = it.cloud.show(id)
    assert (image["status"], image["checksum"]) == ("active", None)
    assert (image["os_hash_algo"], image["os_hash_value"]) == (("sha512", SHA512) if told else (None, None))
    assert it.cloud.call("GET", f"/image/v2/images/{id}/file").body == DATA
    until(lambda: row(it, id)["read_as"] is not None)  # it is looked at all the same, for volumes to be made of it
    assert (row(it, id)["read_as"], row(it, id)["virtual_size"]) == ("raw", len(DATA))
    why = it.cloud.call("GET", f"/moorage/v1/why/image/{id}").json["why"]
    assert why["sentence"] == "Its bytes are there, as somebody has said where they are; nobody has hashed them."
    assert {name: it.cloud.show(id)[name] for name in ("checksum", "os_hash_algo", "os_hash_value")} == {
        "checksum": None,
        "os_hash_algo": image["os_hash_algo"],
        "os_hash_value": image["os_hash_value"],
    }


@pytest.mark.parametrize("told", [True, False])
def test_what_nobody_wants_hashed_is_taken_out_of_use_where_it_is_something_else(
    make: Callable[..., Web], told: bool
) -> None:
    it = make(do_secure_hash=False)
    id = it.cloud.image()
    said = {"os_hash_algo": "sha512", "os_hash_value": hashlib.sha512(HOSTILE).hexdigest()} if told else {}
    assert it.add(id, it.serve("/other.raw", HOSTILE), **said).status == 202
    until(lambda: it.cloud.show(id)["status"] == "deactivated")


def row(it: Web, id: str) -> Any:
    with it.cloud.database.read() as tx:
        return tx.get(images, id)


def patch(it: Web, id: str, *changes: dict[str, Any], as_: str = "alice") -> Reply:
    return it.cloud.call("PATCH", f"/image/v2/images/{id}", list(changes), as_=as_, headers=PATCH)


def add(url: str, path: str = "/locations/-", said: dict[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    value = {"url": url, "metadata": metadata, **({"validation_data": said} if said else {})}
    return {"op": "add", "path": path, "value": value}


def test_the_old_way_is_closed_unless_it_is_opened(make: Callable[..., Web]) -> None:
    it = make()
    id = it.cloud.image()
    assert patch(it, id, add(it.site.url("/disk.raw"))).status == 403
    assert not {"locations", "direct_url"} & it.cloud.show(id).keys()


def test_the_old_way(make: Callable[..., Web]) -> None:
    it = make(show_multiple_locations=True, show_image_direct_url=True)
    id, url, other = it.cloud.image(), it.site.url("/disk.raw"), it.serve("/mirror.raw", DATA)
    assert it.cloud.show(id, "alice")["locations"] == []
    assert patch(it, id, {"op": "add", "path": "/locations_told", "value": "a property"}).status == 200
    bad = [
        (400, add("file:///etc/passwd")), (400, add(url, "/locations/x")), (400, add(url, "/locations/1/url")),
        (403, add("cinder://x/y")), (400, {"op": "add", "path": "/locations/-", "value": {"url": url}}),
        (403, {"op": "replace", "path": "/locations", "value": []}),
        (400, {"op": "replace", "path": "/locations/0", "value": {"url": url, "metadata": {}}}),
    ]  # fmt: skip
    for status, change in bad:
        reply = patch(it, id, change)
        assert reply.status in (status, 400), (change, reply.body)
        queued_without_a_trace(it, id)
    both = patch(it, id, add(url, mirror="a"), {"op": "replace", "path": "/name", "value": "named"})
    assert (both.status, both.json["status"], both.json["name"]) == (200, "active", "named")
    assert both.json["locations"] == [{"url": url, "metadata": {"mirror": "a", "store": "web"}}]
    assert both.json["direct_url"] == url
    assert both.json["os_hash_algo"] in (None, "sha512") and (both.json["checksum"] is None) == (
        both.json["os_hash_algo"] is None
    )
    until(lambda: it.cloud.show(id)["checksum"] == MD5)
    assert patch(it, id, add(url)).status == 400
    assert patch(it, id, add(it.serve("/short.raw", DATA[:-1]))).status == 409
    wrong = {"os_hash_algo": "sha512", "os_hash_value": "0" * 128}
    assert patch(it, id, add(other, said=wrong)).status == 409
    assert patch(it, id, add(other, said={**wrong, "os_hash_value": SHA512})).status == 200
    assert [place["url"] for place in it.cloud.show(id)["locations"]] == [url, other]
    places = [{"url": other, "metadata": {"b": "2"}}, {"url": url, "metadata": {}}]
    assert patch(it, id, {"op": "replace", "path": "/locations", "value": places}).status == 200
    assert [place["metadata"] for place in it.cloud.show(id)["locations"]] == [
        {"store": "web"},
        {"b": "2", "store": "web"},
    ]
    assert patch(it, id, {"op": "replace", "path": "/locations", "value": places[:1]}).status == 400
    assert patch(it, id, {"op": "remove", "path": "/locations/0"}).status == 403
    assert patch(it, id, {"op": "remove", "path": "/locations/7"}, as_="root").status == 404
    assert patch(it, id, {"op": "remove", "path": "/locations/0"}, as_="root").status == 200
    assert patch(it, id, {"op": "remove", "path": "/locations/0"}, as_="root").status == 403
    assert [place["url"] for place in it.cloud.show(id)["locations"]] == [other]
    assert it.cloud.call("GET", f"/image/v2/images/{id}/file").body == DATA


def test_locations_keep_the_order_in_which_one_call_has_given_them(make: Callable[..., Web]) -> None:
    it = make(show_multiple_locations=True)
    pages = [it.serve(f"/{n}-mirror.raw", DATA) for n in (7, 1, 9, 3, 0, 8, 2, 6)]  # by chance in order: 1 in 40 320
    for added in ([add(url) for url in pages], [{"op": "replace", "path": "/locations", "value": [
        {"url": url, "metadata": {}} for url in pages]}]):  # fmt: skip
        id = it.cloud.image()
        answer = patch(it, id, *added)
        assert answer.status == 200, answer.body
        assert [place["url"] for place in answer.json["locations"]] == pages
        assert [place["url"] for place in it.cloud.show(id)["locations"]] == pages
        listed = it.cloud.call("GET", f"/image/v2/images/{id}/locations", as_="root").json
        assert [place["url"] for place in listed] == pages
        with it.cloud.database.read() as tx:
            assert location.objects(tx, id) == {"web": pages[0]}, "the first one is read first"


def test_the_old_way_takes_out_what_was_shown_at_that_number(make: Callable[..., Web]) -> None:
    it = make(show_multiple_locations=True)
    id, url, later = it.cloud.image(), it.site.url("/disk.raw"), it.serve("/a-name-before-it.raw", DATA)
    for each in (url, later):
        assert patch(it, id, add(each)).status == 200
    until(lambda: it.cloud.show(id)["checksum"] == MD5)
    assert [place["url"] for place in it.cloud.show(id)["locations"]] == [url, later]
    listed = it.cloud.call("GET", f"/image/v2/images/{id}/locations", as_="root").json
    assert [place["url"] for place in listed] == [url, later]
    assert patch(it, id, {"op": "remove", "path": "/locations/0"}, as_="root").status == 200
    assert [place["url"] for place in it.cloud.show(id)["locations"]] == [later]


def test_the_old_way_believes_hashes_only_where_the_configuration_does(make: Callable[..., Web]) -> None:
    it = make(show_multiple_locations=True, do_secure_hash=False)
    id, other = it.cloud.image(), it.serve("/mirror.raw", DATA)
    said = {"checksum": "1" * 32, "os_hash_algo": "sha512", "os_hash_value": "0" * 128}
    image = patch(it, id, add(it.site.url("/disk.raw"), said=said)).json
    assert (image["status"], {name: image[name] for name in said}) == ("active", said)
    for wrong in (
        {"checksum": "2" * 32},
        {"os_hash_value": "1" * 128},
        {"os_hash_algo": "sha256"},
        {"checksum": "x" * 32},
    ):
        assert patch(it, id, add(other, said={**said, **wrong})).status == 409
    assert patch(it, id, add(other, said=said)).status == 200


def test_I11_the_old_way_trusts_no_hash_either(make: Callable[..., Web]) -> None:
    it = make(show_multiple_locations=True)
    id = it.cloud.image()
    wrong = {"os_hash_algo": "sha512", "os_hash_value": "0" * 128}
    reply = patch(it, id, add(it.site.url("/disk.raw"), said=wrong))
    assert (reply.status, reply.json["status"], reply.json["locations"]) == (200, "importing", [])
    until(lambda: it.cloud.show(id)["status"] == "queued")
    queued_without_a_trace(it, id)


def test_locations_have_a_limit_whichever_way_they_come(make: Callable[..., Web]) -> None:
    it = make(show_multiple_locations=True, locations=2)
    id, url = it.cloud.image(), it.site.url("/disk.raw")
    more = [it.serve(f"/mirror-{n}.raw", DATA) for n in range(2)]
    refused = patch(it, id, {"op": "replace", "path": "/locations", "value": [
        {"url": each, "metadata": {}} for each in (url, *more)
    ]})  # fmt: skip
    assert refused.status == 413 and b"2 locations" in refused.body
    queued_without_a_trace(it, id)
    for each in (url, more[0]):
        assert patch(it, id, add(each)).status == 200
    assert patch(it, id, add(more[1])).status == 413
    gone = [{"op": "remove", "path": "/locations/1"}, add(more[1])]
    assert patch(it, id, *gone, as_="root").status == 200
    assert [place["url"] for place in it.cloud.show(id)["locations"]] == [url, more[1]]


def test_no_location_at_all_may_be_said(make: Callable[..., Web]) -> None:
    it = make(locations=0)
    id = it.cloud.image()
    assert it.add(id).status == 413
    queued_without_a_trace(it, id)


def test_what_others_have_put_somewhere_counts_as_often_as_it_is_there(make: Callable[..., Web]) -> None:
    it = make(show_multiple_locations=True, quota_size_total=5)
    id, url, other = it.cloud.image(), it.site.url("/disk.raw"), it.serve("/mirror.raw", DATA)
    big = it.serve("/big.raw", bytes(6 << 20))
    refused = it.add(id, big)
    assert refused.status == 413 and b"image_size_total" in refused.body
    assert patch(it, id, add(big)).status == 413
    queued_without_a_trace(it, id)
    assert patch(it, id, add(url)).status == 200
    assert patch(it, id, add(other)).status == 413
    usage = it.cloud.call("GET", "/image/v2/info/usage").json["usage"]["image_size_total"]
    assert usage == {"limit": 5, "usage": 5}
    assert [place["url"] for place in it.cloud.show(id)["locations"]] == [url]
