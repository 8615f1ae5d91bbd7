"""Imports and copies that fail, meet one another or meet a deletion, by two services with several stores."""

import gzip
import hashlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from moorage.database import Database
from moorage.drivers.transformations.decompression import Decompression
from tests.image_faults.stores import PATIENCE_S, Moody
from tests.image_faults.twins import Twins, at_once, twins
from tests.images.cloud import BYTES, JSON, Reply
from tests.patience import eventually

DATA = os.urandom(2_500_000)
MEETINGS = 200 if "MOORAGE_CHAOS" in os.environ else 16
KEYS = ("os_glance_importing_to_stores", "os_glance_failed_import")
COPY = {"name": "copy-image"}


class Place:
    """Two services over the stores one, two, three, and `shut`, which takes nothing in."""

    def __init__(self, cloud: Twins, stores: dict[str, Moody]) -> None:
        self.cloud, self.stores = cloud, stores

    def stage(self, id: str, content: Any = DATA, **more: Any) -> Reply:
        headers = {**BYTES, **JSON}
        return self.cloud.call("PUT", f"/{id}/stage", content=content, headers=headers, **more)

    def take_in(self, id: str, *stores: str, method: Any = None, as_: str = "alice", **asked: Any) -> Reply:
        """Ask for an import into these stores."""
        body = {"method": method or {"name": "glance-direct"}, **({"stores": list(stores)} if stores else {}), **asked}
        return self.cloud.call("POST", f"/{id}/import", body, as_=as_, headers=JSON)

    def staged(self, **body: Any) -> str:
        """A new image whose data are staged."""
        id = self.cloud.next.image(**body)
        reply = self.stage(id)
        assert reply.status == 204, reply.body
        return id

    def in_stores(self, *stores: str, **body: Any) -> str:
        """A new image that these stores hold."""
        id = self.staged(**body)
        assert self.take_in(id, *stores).status == 202
        self.rest()
        assert self.held(id) == set(stores)
        return id

    def rest(self) -> None:
        assert eventually(lambda: not self.cloud.under_way(), PATIENCE_S), self.cloud.under_way()

    def held(self, id: str) -> set[str]:
        """The stores that hold the image."""
        return set(filter(None, self.cloud.show(id).get("stores", "").split(",")))

    def keys(self, id: str) -> tuple[str, ...]:
        image = self.cloud.show(id)
        return tuple(image.get(key, "") for key in KEYS)

    def tasks(self, id: str, as_: str = "alice") -> list[Any]:
        return list(self.cloud.call("GET", f"/{id}/tasks", as_=as_).json["tasks"])

    def objects(self) -> set[str]:
        return {name for store in self.stores.values() for name in store.names()}

    def content_in(self, store: str, id: str) -> bytes:
        (name,) = [name for name in self.stores[store].names() if f"/{id}/" in name]
        return self.stores[store].path(name).read_bytes()

    @property
    def waiting(self) -> frozenset[str]:
        """What is staged."""
        area = self.cloud.clouds[0].rooms.staging
        assert area is not None
        return area.names()


@pytest.fixture
def place(database: Database, state_dir: Path) -> Iterator[Place]:
    stores = {id: Moody(id, state_dir / "stores") for id in ("one", "two", "three")}
    stores["shut"] = Moody("shut", state_dir / "stores", read_only=True)
    methods = ("glance-direct", "web-download", "copy-image", "glance-download")
    with twins(database, state_dir, dict(stores), copying_by_owners=True, import_methods=methods) as cloud:
        yield Place(cloud, stores)
        cloud.assert_clean()


@pytest.mark.parametrize("verb", ["create", "write", "commit"])
@pytest.mark.parametrize("stores", [("two",), ("one", "two", "three")], ids=["one-store", "three-stores"])
def test_image_fault_i1_an_import_that_fails_leaves_nothing_and_may_be_tried_again(
    place: Place, verb: str, stores: tuple[str, ...]
) -> None:
    id = place.staged()
    place.stores["two"].failing = {verb}
    assert place.take_in(id, *stores).status == 202
    place.rest()
    image = place.cloud.show(id)
    assert (image["status"], image["size"], image["checksum"], place.held(id)) == ("queued", None, None, set())
    assert place.keys(id)[0] == ""
    assert (place.objects(), place.waiting) == (set(), frozenset())
    place.stores["two"].failing = set()
    assert place.stage(id).status == 204
    assert place.take_in(id, *stores).status == 202
    place.rest()
    assert (place.cloud.show(id)["status"], place.held(id)) == ("active", set(stores))
    assert place.cloud.data(id).body == DATA


def test_image_lp_1891352_a_store_that_failed_is_told_of_and_the_others_have_the_image(place: Place) -> None:
    id = place.staged()
    place.stores["two"].failing = {"write"}
    assert place.take_in(id, "one", "two", "three", all_stores_must_succeed=False).status == 202
    place.rest()
    assert (place.cloud.show(id)["status"], place.held(id)) == ("active", {"one", "three"})
    assert place.keys(id) == ("", "two")
    assert {place.content_in(store, id) for store in ("one", "three")} == {DATA}
    assert place.stores["two"].names() == frozenset()


def test_image_fault_i9_whoever_owns_the_image_reads_why_it_failed(place: Place) -> None:
    id = place.staged()
    place.stores["two"].failing = {"write"}
    assert place.take_in(id, "one", "two").status == 202
    place.rest()
    (task,) = place.tasks(id)
    assert task["status"] == "failure"
    assert "two" in task["message"]
    assert "room" in task["message"]


def test_image_fault_i13_the_owner_sees_what_others_do_with_his_image(place: Place) -> None:
    id = place.in_stores("one")
    assert place.take_in(id, "two", method=COPY, as_="root").status == 202
    place.rest()
    assert [task["status"] for task in place.tasks(id)] == ["success", "success"]
    assert {task["owner"] for task in place.tasks(id)} == {"project-a"}


def test_image_fault_i7_what_cannot_be_done_is_refused_at_once_and_blocks_nothing(place: Place) -> None:
    id = place.staged()
    for wrong in ([], ["one", "one"], ["nonesuch"], ["one", "nonesuch"]):
        assert place.take_in(id, stores=wrong).status in (400, 409), wrong
    assert place.take_in(id, "one", all_stores=True).status == 400
    assert place.tasks(id) == []
    assert place.take_in(id, "one").status == 202
    place.rest()
    assert place.held(id) == {"one"}


def test_image_fault_i10_lp_1881958_a_store_that_takes_nothing_is_refused_and_is_none_of_all(place: Place) -> None:
    id = place.staged()
    assert place.take_in(id, "shut").status in (400, 409)
    assert place.take_in(id, "one", "shut").status in (400, 409)
    assert place.take_in(id, all_stores=True).status == 202
    place.rest()
    assert place.held(id) == {"one", "two", "three"}
    assert place.take_in(place.in_stores("one"), "shut", method=COPY).status in (400, 409)


def test_image_fault_i3_a_copy_undoes_nothing_that_was_changed_meanwhile(place: Place) -> None:
    id = place.in_stores("one", name="before", tags=["old"], colour="red")
    with place.stores["two"].standing("write") as writing:
        assert place.take_in(id, "two", method=COPY).status == 202
        assert writing.wait(PATIENCE_S)
        changes = [
            ("replace", "/name", "after"),
            ("replace", "/protected", True),
            ("replace", "/visibility", "private"),
        ]
        changes += [("replace", "/tags", ["new"]), ("add", "/shape", "round"), ("replace", "/min_disk", 9)]
        assert place.cloud.patch(id, *changes, ("remove", "/colour", None)).status == 200
    place.rest()
    image = place.cloud.show(id)
    said = {key: image.get(key) for key in ("name", "protected", "visibility", "tags", "shape", "min_disk", "colour")}
    assert said == {
        "name": "after", "protected": True, "visibility": "private", "tags": ["new"], "shape": "round", "min_disk": 9,
        "colour": None,
    }  # fmt: skip
    assert place.held(id) == {"one", "two"}
    assert place.content_in("two", id) == DATA


@pytest.mark.parametrize("moment", ["create", "write", "commit"])
def test_image_fault_i4_lp_1953063_a_place_that_was_left_during_a_copy_does_not_come_back(
    place: Place, moment: str
) -> None:
    """Whichever of the places the copy reads from, and whether it can be finished or not."""
    for leaving in ("one", "two"):
        id = place.in_stores("one", "two")
        with place.stores["three"].standing(moment) as come:
            assert place.take_in(id, "three", method=COPY).status == 202
            assert come.wait(PATIENCE_S)
            left = place.cloud.next.call("DELETE", f"/image/v2/stores/{leaving}/{id}", as_="root", headers=JSON)
            assert left.status == 204, left.body
        place.rest()
        other = {"one": "two", "two": "one"}[leaving]
        assert place.held(id) == {other, "three"}
        assert not [name for name in place.stores[leaving].names() if f"/{id}/" in name]
        assert place.content_in("three", id) == DATA
        assert place.cloud.data(id).body == DATA


def test_image_fault_i6_deactivating_during_a_copy_leaves_neither_half_done(place: Place) -> None:
    for moment in ("create", "write", "commit"):
        id = place.in_stores("one")
        with place.stores["two"].standing(moment) as come:
            assert place.take_in(id, "two", method=COPY).status == 202
            assert come.wait(PATIENCE_S)
            assert place.cloud.call("POST", f"/{id}/actions/deactivate").status == 204
        place.rest()
        assert place.cloud.show(id)["status"] == "deactivated"
        assert place.keys(id)[0] == ""
        place.cloud.assert_clean()
        assert place.cloud.call("POST", f"/{id}/actions/reactivate").status == 204
        if "two" not in place.held(id):
            assert place.take_in(id, "two", method=COPY).status == 202
            place.rest()
        assert place.held(id) == {"one", "two"}


def test_image_fault_i20_a_copy_that_meets_a_delete_leaves_no_bytes(place: Place) -> None:
    id = place.in_stores("one")
    began = time.monotonic()
    assert place.take_in(id, "two", "three", method=COPY).status == 202
    place.rest()
    whole_s = time.monotonic() - began
    assert place.cloud.delete(id).status == 204
    for turn in range(MEETINGS):
        id = place.in_stores("one")
        assert place.take_in(id, "two", "three", method=COPY).status == 202
        time.sleep(whole_s * 1.2 * turn / MEETINGS)
        assert place.cloud.delete(id).status == 204
        place.rest()
        assert place.objects() == set()
        assert place.cloud.call("GET", f"/{id}", as_="root").status == 404


@pytest.mark.parametrize("moment", ["create", "write", "commit"])
def test_a_copy_that_stands_still_ends_with_a_delete(place: Place, moment: str) -> None:
    id = place.in_stores("one")
    with ThreadPoolExecutor(1) as pool, place.stores["two"].standing(moment) as come:
        assert place.take_in(id, "two", method=COPY).status == 202
        assert come.wait(PATIENCE_S)
        gone = pool.submit(place.cloud.delete, id)
        assert eventually(lambda: place.cloud.call("GET", f"/{id}", as_="root").status == 404)
        time.sleep(0.05)
    assert gone.result().status == 204
    place.rest()
    assert place.objects() == set()


def test_imports_that_meet_a_delete_leave_no_bytes(place: Place) -> None:
    id = place.staged()
    began = time.monotonic()
    assert place.take_in(id, all_stores=True).status == 202
    place.rest()
    whole_s = time.monotonic() - began
    assert place.cloud.delete(id).status == 204
    for turn in range(MEETINGS):
        id = place.staged()
        assert place.take_in(id, all_stores=True).status == 202
        time.sleep(whole_s * 1.2 * turn / MEETINGS)
        assert place.cloud.delete(id).status == 204
        place.rest()
        assert (place.objects(), place.waiting) == (set(), frozenset())


def test_image_lp_1885003_staging_that_breaks_off_or_meets_a_delete_leaves_no_bytes(place: Place) -> None:
    for turn in range(6):
        id = place.cloud.next.image()

        def slowly() -> Iterator[bytes]:
            for start in range(0, len(DATA), 250_000):
                time.sleep(0.004)
                yield DATA[start : start + 250_000]

        if turn % 2:
            assert place.stage(id, iter([DATA[:1_000_000]]), cut=True).status == 0
            assert eventually(lambda id=id: place.cloud.show(id)["status"] == "queued")  # type: ignore[misc]
        else:
            with ThreadPoolExecutor(1) as pool:
                coming = pool.submit(place.stage, id, slowly())
                time.sleep(0.008 * turn)
                assert place.cloud.delete(id).status == 204
                assert coming.result().status in (204, 404, 410)
        place.rest()
        assert place.waiting == frozenset()


def test_image_lp_1884596_of_imports_at_once_one_is_taken_on(place: Place) -> None:
    for _ in range(4):
        id = place.staged()
        asked = [partial(place.take_in, id, store) for store in ("one", "two", "three")] * 2
        replies = at_once(*asked)
        assert sorted(reply.status for reply in replies) == [202] + [409] * 5
        place.rest()
        assert len(place.held(id)) == 1
        assert len(place.tasks(id)) == 1
        copies = at_once(*[partial(place.take_in, id, method=COPY, all_stores=True) for _ in range(4)])
        assert 202 in {reply.status for reply in copies}
        assert {reply.status for reply in copies} <= {202, 409}
        place.rest()
        assert place.held(id) == {"one", "two", "three"}


def test_image_fault_i15_every_way_in_is_looked_at(place: Place) -> None:
    """What an upload would refuse, an import into one store, into several or into spare ones refuses as well."""
    for asked in ({"stores": ["one"]}, {"all_stores": True}, {"all_stores": True, "all_stores_must_succeed": False}):
        id = place.cloud.next.image(disk_format="qcow2")
        status = place.stage(id, b"this is no qcow2" * 10_000).status
        if status == 204:
            assert place.take_in(id, **asked).status == 202
            place.rest()
        assert (status, place.cloud.show(id)["status"]) in ((204, "queued"), (415, "queued"))
        assert (place.objects(), place.waiting) == (set(), frozenset())
        good = place.staged()
        assert place.take_in(good, **asked).status == 202
        place.rest()
        image = place.cloud.show(good)
        assert (image["virtual_size"], image["checksum"]) == (len(DATA), hashlib.md5(DATA).hexdigest())
        assert place.cloud.delete(good).status == 204


def test_image_fault_i16_what_one_process_staged_another_imports_and_deletes(place: Place) -> None:
    first, second = place.cloud.clouds
    kept, dropped = first.image(), first.image()
    for id in (kept, dropped):
        assert first.call("PUT", f"/image/v2/images/{id}/stage", content=DATA, headers=BYTES).status == 204
    first.runner.stop()  # the process that has staged them is of no help any more
    body = {"method": {"name": "glance-direct"}, "stores": ["two"]}
    assert second.call("POST", f"/image/v2/images/{kept}/import", body).status == 202
    assert eventually(lambda: second.show(kept)["status"] == "active", PATIENCE_S)
    assert place.content_in("two", kept) == DATA
    for id in (kept, dropped):
        assert second.call("DELETE", f"/image/v2/images/{id}").status == 204
    place.rest()
    assert (place.objects(), place.waiting) == (set(), frozenset())


def test_image_lp_1885725_a_copy_is_what_was_copied(place: Place) -> None:
    id = place.in_stores("one")
    before = place.cloud.show(id)
    assert place.take_in(id, method=COPY, all_stores=True).status == 202
    place.rest()
    after = place.cloud.show(id)
    same = ("size", "virtual_size", "checksum", "os_hash_value", "disk_format", "container_format")
    assert [after[key] for key in same] == [before[key] for key in same]
    assert {place.content_in(store, id) for store in ("one", "two", "three")} == {DATA}
    for cloud in place.cloud.clouds:
        cloud.rooms.transformations = (Decompression({"two"}),)  # of what is imported there
    packed = gzip.compress(DATA[:300_000] * 4, 1)
    for store, first in (("one", packed), ("two", DATA[:300_000] * 4)):
        id = place.cloud.next.image()
        assert place.stage(id, packed).status == 204
        assert place.take_in(id, store).status == 202
        place.rest()
        assert place.take_in(id, method=COPY, all_stores=True).status == 202
        place.rest()
        assert {place.content_in(each, id) for each in ("one", "two", "three")} == {first}


def test_the_heaviest_store_is_named_first_and_read_from(place: Place) -> None:
    id, other = place.in_stores("one", "two", "three"), os.urandom(len(DATA))
    assert place.cloud.show(id)["stores"] == "three,two,one"
    (name,) = [name for name in place.stores["three"].names() if f"/{id}/" in name]
    path = place.stores["three"].path(name)
    path.chmod(0o600)
    path.write_bytes(other)  # so that it is seen whose bytes come
    assert place.cloud.data(id).body == other
    assert place.cloud.call("GET", f"/{id}/file?prefer=one").body == DATA


def test_image_lp_1884587_who_does_not_own_an_image_does_not_copy_it(place: Place) -> None:
    id = place.in_stores("one", visibility="community")
    for who, status in (("bob", 403), ("anna", 403), ("root", 202)):
        assert place.take_in(id, "two", method=COPY, as_=who).status == status
    place.rest()
    hidden = place.in_stores("one", visibility="private")
    assert place.take_in(hidden, "two", method=COPY, as_="bob").status == 404


def test_leaving_stores_at_once_leaves_one(place: Place) -> None:
    for _ in range(4):
        id = place.in_stores("one", "two", "three")
        leave = [
            partial(place.cloud.next.call, "DELETE", f"/image/v2/stores/{store}/{id}", as_="root", headers=JSON)
            for store in ("one", "two", "three")
        ]
        assert sorted(reply.status for reply in at_once(*leave)) == [204, 204, 403]
        place.rest()
        assert len(place.held(id)) == 1
        assert place.cloud.data(id).body == DATA


def test_image_lp_1525915_the_last_store_keeps_the_image(place: Place) -> None:
    id = place.in_stores("one")
    left = place.cloud.next.call("DELETE", f"/image/v2/stores/one/{id}", as_="root", headers=JSON)
    assert left.status == 403
    assert place.cloud.data(id).body == DATA
