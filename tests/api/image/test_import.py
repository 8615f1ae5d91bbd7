"""Imports over the wire: what is refused at once, what clients see meanwhile, how each outcome looks."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from moorage.core.caller import Caller
from moorage.core.errors import Malformed
from moorage.database import Database
from moorage.drivers.stores.files import FilesStore
from moorage.images.imports.method import FetchBroken, Method, Remote, Source
from moorage.images.store import StoreFull, Traits
from tests.images.cloud import BYTES, JSON, ImageCloud, running

DATA = b"moorage" * 100_000
WEB = {"name": "web-download", "uri": "http://somewhere/image"}


class ReadOnly(FilesStore):
    """A store that takes nothing in."""

    traits = Traits(read_only=True)


class Gate(FilesStore):
    """A store that waits at its first byte, until it is told to go on, and may then have no room."""

    def __init__(self, id: str, root: Path) -> None:
        super().__init__(id, root)
        self.reached, self.go_on, self.full = threading.Event(), threading.Event(), False
        self.go_on.set()

    def create(self, name: str, size: int | None) -> Any:
        self.reached.set()
        assert self.go_on.wait(60)
        if self.full:
            raise StoreFull(store=self.id)
        return super().create(name, size)

    def hold(self) -> None:
        self.reached.clear()
        self.go_on.clear()


class Web(Method):
    """Fetches `DATA`, with more that is known of it, or fails as it is told."""

    name = "web-download"

    def __init__(self) -> None:
        self.remote = Remote(size=len(DATA))
        self.problem: Exception | None = None

    def check(self, caller: Caller, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        if "forbidden" in asked["uri"]:
            raise Malformed(reason=f"URI for web-download does not pass filtering: {asked['uri']}")
        return {"uri": asked["uri"]}

    def open(self, checked: Mapping[str, Any], size_limit: int, check: Callable[[], None]) -> Source:
        if self.problem is not None:
            raise self.problem
        return Source(self.remote, iter([DATA[:1000], DATA[1000:]]))


class Glance(Web):
    name = "glance-download"
    sets_formats = True

    def check(self, caller: Caller, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"id": asked["glance_image_id"]}


@pytest.fixture
def cloud(database: Database, state_dir: Path) -> Iterator[ImageCloud]:
    stores = {"a": FilesStore("a", state_dir / "a"), "b": Gate("b", state_dir / "b")}
    stores["web"] = ReadOnly("web", state_dir / "web")
    methods = ("glance-direct", "web-download", "glance-download", "copy-image")
    with running(database, state_dir, stores, import_methods=methods) as cloud:
        cloud.rooms.methods = {"web-download": Web(), "glance-download": Glance()}
        yield cloud


def gate(cloud: ImageCloud) -> Gate:
    found = cloud.stores["b"]
    assert isinstance(found, Gate)
    return found


def staged(cloud: ImageCloud, content: bytes = DATA, **body: Any) -> str:
    id = cloud.image(**body)
    reply = cloud.call("PUT", f"/image/v2/images/{id}/stage", content=content, headers={**BYTES, **JSON})
    assert reply.status == 204, reply.body
    return id


def start(cloud: ImageCloud, id: str, method: Any = "glance-direct", as_: str = "alice", **more: Any) -> Any:
    headers = {**JSON, **more.pop("headers", {})}
    body = {"method": method if isinstance(method, dict) else {"name": method}, **more}
    return cloud.call("POST", f"/image/v2/images/{id}/import", body, as_=as_, headers=headers)


def tasks(cloud: ImageCloud, id: str, as_: str = "root") -> Any:
    return cloud.call("GET", f"/image/v2/images/{id}/tasks", as_=as_).json["tasks"]


def ended(cloud: ImageCloud, id: str) -> Any:
    """The image's last task, once it is over."""
    until = time.monotonic() + 60
    while (last := tasks(cloud, id)[-1])["status"] not in ("success", "failure"):
        assert time.monotonic() < until, last
        time.sleep(0.02)
    return last


def files(cloud: ImageCloud, id: str) -> set[str]:
    """Where there is anything of the image, once nothing is being cleared away."""
    until = time.monotonic() + 60
    while True:
        areas = {**cloud.stores, "staging": cloud.rooms.staging}
        found = {name for name, area in areas.items() if area and any(id in at for at in area.names())}
        if "staging" not in found or time.monotonic() > until:
            return found
        time.sleep(0.02)


def test_staged_bytes_become_an_image(cloud: ImageCloud) -> None:
    id = staged(cloud)
    it = cloud.show(id)
    assert (it["status"], it["size"], it["checksum"]) == ("uploading", len(DATA), None)
    assert cloud.call("GET", f"/image/v2/images/{id}/file").status == 204
    reply = start(cloud, id, all_stores=True)
    assert (reply.status, reply.body) == (202, b"")
    task = ended(cloud, id)
    assert (task["status"], task["result"], task["type"]) == ("success", {"image_id": id}, "api_image_import")
    assert task["request_id"] == reply.headers["x-openstack-request-id"]
    assert (task["image_id"], task["user_id"], task["owner"]) == (id, "alice", "project-a")
    it = cloud.show(id)
    assert (it["status"], it["stores"], it["size"]) == ("active", "b,a", len(DATA))
    assert (it["os_glance_importing_to_stores"], it["os_glance_failed_import"]) == ("", "")
    assert "os_glance_import_task" not in it
    assert it["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    for store in ("a", "b"):
        assert cloud.call("GET", f"/image/v2/images/{id}/file?prefer={store}").body == DATA
    assert files(cloud, id) == {"a", "b"}
    assert len(tasks(cloud, id)) == 1
    assert tasks(cloud, id, as_="alice") == tasks(cloud, id)


def test_who_only_sees_an_image_sees_no_tasks_of_it(cloud: ImageCloud) -> None:
    """Image reference I13: tasks belong to the image's owner, whoever asked for them."""
    id = staged(cloud, visibility="community")
    start(cloud, id, as_="root")
    assert ended(cloud, id)["owner"] == "project-a"
    assert [len(tasks(cloud, id, as_=who)) for who in ("alice", "root", "bob")] == [1, 1, 0]
    assert start(cloud, id, "copy-image", as_="alice", stores=["b"]).status == 403


def test_one_store_by_header_or_body_or_both_when_they_agree(cloud: ImageCloud) -> None:
    named = {"x-image-meta-store": "b"}
    for more in ({"headers": named}, {"stores": ["b"]}, {"stores": ["b"], "headers": named}):
        id = staged(cloud)
        assert start(cloud, id, **more).status == 202
        ended(cloud, id)
        assert cloud.show(id)["stores"] == "b"
    id = staged(cloud)
    assert start(cloud, id).status == 202
    ended(cloud, id)
    assert cloud.show(id)["stores"] == "a"


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"stores": []}, 400),
        ({"stores": ["a", "a"]}, 400),
        ({"stores": ["a"], "all_stores": True}, 400),
        ({"stores": ["a"], "headers": {"x-image-meta-store": "b"}}, 400),
        ({"all_stores": True, "headers": {"x-image-meta-store": "b"}}, 400),
        ({"all_stores": "yes"}, 400),
        ({"all_stores_must_succeed": 1}, 400),
        ({"stores": "a"}, 400),
        ({"method": {"name": "nonesuch"}}, 400),
        ({"method": {"uri": "x"}}, 400),
        ({"method": {"name": "web-download", "uri": "http://forbidden/"}}, 400),
        ({"method": {"name": "glance-download", "glance_region": "r"}}, 400),
        ({"method": {"name": "glance-download", "glance_region": "r", "glance_image_id": "7"}}, 400),
        ({"stores": ["nonesuch"]}, 409),
        ({"stores": ["a", "web"]}, 409),
        ({"headers": {"x-image-meta-store": "web"}}, 409),
        ({"method": WEB}, 409),
        ({"method": {"name": "copy-image"}, "as_": "root", "all_stores": True}, 409),
        ({"as_": "bob"}, 404),
        ({"as_": "anna"}, 403),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(cloud: ImageCloud, more: dict[str, Any], status: int) -> None:
    """Image reference I7 and I10: nothing that can be known is left to fail later, with a lock held."""
    id = staged(cloud)
    reply = start(cloud, id, **more)
    assert reply.status == status, reply.body
    assert (cloud.show(id)["status"], tasks(cloud, id)) == ("uploading", [])
    assert start(cloud, id).status == 202
    assert ended(cloud, id)["status"] == "success"


def test_a_body_that_is_none(cloud: ImageCloud) -> None:
    id = staged(cloud)
    path = f"/image/v2/images/{id}/import"
    for body in ({}, [], {"method": "glance-direct"}, {"method": {}}, {"method": {"name": 7}}):
        assert cloud.call("POST", path, body).status == 400
    assert (
        b"does not look like a UUID"
        in start(cloud, id, {"name": "glance-download", "glance_region": "r", "glance_image_id": "7"}).body
    )


@pytest.mark.parametrize("state", ["queued", "active", "deactivated", "uploading"])
def test_each_state_takes_the_imports_that_fit_it(cloud: ImageCloud, state: str) -> None:
    made: dict[str, Callable[[], str]] = {"queued": cloud.image, "uploading": lambda: staged(cloud)}
    id = made.get(state, lambda: cloud.filled(DATA))()
    if state == "deactivated":
        cloud.call("POST", f"/image/v2/images/{id}/actions/deactivate")
    fits = {"glance-direct": "uploading", "web-download": "queued", "copy-image": "active"}
    for name, wanted in fits.items():
        if wanted != state:
            method = WEB if name == "web-download" else {"name": name}
            reply = start(cloud, id, method, as_="root", stores=["b"])
            assert reply.status == 409, (name, reply.body)
    if state != "queued":
        again = cloud.call("PUT", f"/image/v2/images/{id}/stage", content=b"x", headers=BYTES)
        assert again.status == 409
        assert cloud.upload(id, b"x").status == 409


def test_formats_are_needed_unless_they_come_along(cloud: ImageCloud) -> None:
    bare = {"disk_format": None, "container_format": None}
    id = cloud.image(**bare)
    assert start(cloud, id, WEB).status == 409
    assert cloud.call("PUT", f"/image/v2/images/{id}/stage", content=b"x", headers=BYTES).status == 400
    found = {"os_distro": "debian", "hw_disk_bus": "scsi"}
    method = cloud.rooms.methods["glance-download"]
    assert isinstance(method, Glance)
    md5 = hashlib.md5(DATA).hexdigest()
    method.remote = Remote(len(DATA), "raw", "bare", found, checksum=md5)
    cloud.call(
        "PATCH",
        f"/image/v2/images/{id}",
        [{"op": "add", "path": "/hw_disk_bus", "value": "virtio"}],
        headers={"content-type": "application/openstack-images-v2.1-json-patch"},
    )
    remote = {"name": "glance-download", "glance_region": "r", "glance_image_id": id}
    assert start(cloud, id, remote).status == 202
    assert ended(cloud, id)["status"] == "success"
    it = cloud.show(id)
    assert (it["disk_format"], it["container_format"], it["checksum"]) == ("raw", "bare", md5)
    assert (it["os_distro"], it["hw_disk_bus"]) == ("debian", "virtio")


def test_what_is_fetched_must_be_what_was_said(cloud: ImageCloud) -> None:
    """Image reference I8: a fetch that fails leaves nothing but its reason."""
    method = cloud.rooms.methods["web-download"]
    assert isinstance(method, Web)
    cases: list[tuple[Remote, Exception | None, str]] = [
        (Remote(size=len(DATA) + 1), None, "bytes came, not the"),
        (Remote(checksum="0" * 32), None, "hash"),
        (Remote(os_hash_algo="sha256", os_hash_value="0" * 64), None, "hash"),
        (Remote(), FetchBroken(reason="it is no image"), "it is no image"),
    ]
    for remote, problem, said in cases:
        method.remote, method.problem = remote, problem
        id = cloud.image()
        assert start(cloud, id, WEB, stores=["a", "b"]).status == 202
        task = ended(cloud, id)
        assert (task["status"], said in task["message"]) == ("failure", True), task
        it = cloud.show(id)
        assert (it["status"], it["os_glance_failed_import"], it["os_glance_importing_to_stores"]) == (
            "queued",
            "a,b",
            "",
        )
        assert files(cloud, id) == set()
    method.remote, method.problem = Remote(), None
    assert start(cloud, id, WEB).status == 202
    assert ended(cloud, id)["status"] == "success"
    assert cloud.show(id)["os_glance_failed_import"] == ""


def test_what_is_seen_while_it_goes_on(cloud: ImageCloud) -> None:
    id = staged(cloud)
    gate(cloud).hold()
    start(cloud, id, stores=["a", "b"])
    assert gate(cloud).reached.wait(60)
    it = cloud.show(id)
    (task,) = tasks(cloud, id)
    assert (it["status"], it["os_glance_importing_to_stores"]) == ("importing", "a,b")
    assert (it["os_glance_import_task"], it["os_glance_failed_import"]) == (task["id"], "")
    assert (task["status"], task["message"], "stores" in it) == ("processing", "Copied 0 MiB", False)
    second = start(cloud, id, stores=["a"])
    assert (second.status, task["id"] in second.body.decode()) == (409, True)
    assert cloud.upload(id, b"x").status == 409
    gate(cloud).go_on.set()
    assert ended(cloud, id)["status"] == "success"


def test_some_stores_fail(cloud: ImageCloud) -> None:
    gate(cloud).full = True
    id = staged(cloud)
    start(cloud, id, stores=["a", "b"], all_stores_must_succeed=False)
    assert ended(cloud, id)["status"] == "success"
    it = cloud.show(id)
    assert (it["status"], it["stores"], it["os_glance_failed_import"]) == ("active", "a", "b")
    id = staged(cloud)
    start(cloud, id, stores=["a", "b"])
    task = ended(cloud, id)
    it = cloud.show(id)
    assert (task["status"], task["message"]) == ("failure", "The store b has no room for the image.")
    assert (it["status"], it["os_glance_failed_import"], it["size"], "stores" in it) == ("queued", "b", None, False)
    assert files(cloud, id) == set()
    assert cloud.upload(id, DATA).status == 204
    assert "os_glance_failed_import" not in cloud.show(id)


def test_staging_can_be_refused(cloud: ImageCloud) -> None:
    id = cloud.image(disk_format="qcow2")
    path, headers = f"/image/v2/images/{id}/stage", {**BYTES, **JSON}
    assert cloud.call("PUT", path, content=DATA, headers=headers).status == 415
    assert (cloud.show(id)["status"], files(cloud, id)) == ("queued", set())
    for size in ("2", str(2**63), "9" * 5000):
        assert cloud.call("PUT", path, content=b"x", headers={**headers, "x-openstack-image-size": size}).status == 400
    assert cloud.call("PUT", path, content=[b"x"], headers=headers, cut=True).status == 0
    assert cloud.call("PUT", path, content=b"x", headers=headers, as_="bob").status == 404
    assert cloud.call("PUT", path, content=b"x", headers={"content-type": "text/plain"}).status == 415


def test_a_staged_image_that_is_deleted_leaves_nothing(cloud: ImageCloud) -> None:
    id = staged(cloud)
    assert files_now(cloud, id) == {"staging"}
    assert cloud.call("DELETE", f"/image/v2/images/{id}").status == 204
    assert files(cloud, id) == set()


def files_now(cloud: ImageCloud, id: str) -> set[str]:
    assert cloud.rooms.staging is not None
    areas = {**cloud.stores, "staging": cloud.rooms.staging}
    return {name for name, area in areas.items() if any(id in at for at in area.names())}


def test_without_a_way_to_import_there_is_none(database: Database, state_dir: Path) -> None:
    with running(database, state_dir, import_methods=()) as cloud:
        assert cloud.call("GET", "/image/v2/info/import").json["import-methods"]["value"] == []
        made = cloud.call("POST", "/image/v2/images", {})
        assert "openstack-image-import-methods" not in made.headers
        path = f"/image/v2/images/{made.json['id']}"
        assert cloud.call("PUT", f"{path}/stage", content=b"x", headers=BYTES).status == 404
        assert start(cloud, made.json["id"]).status == 400


def test_the_ways_are_told(cloud: ImageCloud) -> None:
    wanted = ["glance-direct", "web-download", "glance-download", "copy-image"]
    assert cloud.call("GET", "/image/v2/info/import").json["import-methods"]["value"] == wanted
    made = cloud.call("POST", "/image/v2/images", {})
    assert made.headers["openstack-image-import-methods"] == ",".join(wanted)
    assert made.headers["openstack-image-store-ids"] == "a,b,web"


def test_what_is_fetched_stays_within_the_quota(database: Database, state_dir: Path) -> None:
    """Image reference I17: refused before a store is written, whether or not the size is known beforehand."""
    stores = {"a": FilesStore("a", state_dir / "a"), "b": Gate("b", state_dir / "b")}
    with running(database, state_dir, stores, quota_size_total=1) as cloud:
        method = Web()
        cloud.rooms.methods = {"web-download": method}
        for size in (len(DATA), None):
            method.remote = Remote(size=size)
            id = cloud.image()
            gate(cloud).reached.clear()
            assert start(cloud, id, WEB, all_stores=True).status == 202
            task = ended(cloud, id)
            assert (task["status"], "image_size_total" in task["message"]) == ("failure", True), task
            assert (cloud.show(id)["status"], files(cloud, id)) == ("queued", set())
            assert not gate(cloud).reached.is_set()
        assert start(cloud, id, WEB).status == 202
        assert ended(cloud, id)["status"] == "success"
