"""Quotas of what is staged, imported and copied: exact before, during and after, whichever way it ends."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from moorage.flows.images.incoming import obtain
from moorage.images import allowance
from moorage.images.imports.method import Remote, Source
from tests.api.image.test_copies import copy
from tests.api.image.test_import import DATA, WEB, Web, cloud, ended, gate, start
from tests.api.image.test_quotas import used
from tests.api.image.test_upload import unfinished
from tests.images.cloud import BYTES, JSON, ImageCloud, Reply
from tests.patience import until

__all__ = ["cloud"]


def limit(cloud: ImageCloud, **limits: int) -> None:
    with cloud.database.write() as tx:
        allowance.set_limits(tx, "project-a", {f"image_{name}": value for name, value in limits.items()})


def stage(cloud: ImageCloud, id: str, content: bytes = DATA) -> Reply:
    return cloud.call("PUT", f"/image/v2/images/{id}/stage", content=content, headers={**BYTES, **JSON})


def at_rest(cloud: ImageCloud) -> None:
    until(lambda: not unfinished(cloud), what="an operation goes on")


def test_staged_bytes_count_until_they_are_imported(cloud: ImageCloud) -> None:
    limit(cloud, stage_total=1)
    first, second = cloud.image(), cloud.image()
    assert stage(cloud, first).status == 204
    assert used(cloud) == {"size_total": 0, "stage_total": 1, "count_total": 2, "count_uploading": 1}
    assert stage(cloud, second).status == 413
    assert cloud.show(second)["status"] == "queued"
    assert stage(cloud, second, b"x" * 1000).status == 204  # there is room for as much
    assert start(cloud, first).status == 202
    assert ended(cloud, first)["status"] == "success"
    at_rest(cloud)
    assert used(cloud) == {"size_total": 1, "stage_total": 1, "count_total": 2, "count_uploading": 1}
    third = cloud.image()
    assert stage(cloud, third).status == 204
    assert cloud.call("DELETE", f"/image/v2/images/{third}").status == 204
    at_rest(cloud)
    assert used(cloud)["stage_total"] == 1


def test_an_import_needs_room_in_all_its_stores(cloud: ImageCloud) -> None:
    limit(cloud, size_total=1)
    id = cloud.image()
    assert stage(cloud, id).status == 204
    assert start(cloud, id, stores=["a", "b"]).status == 413
    assert cloud.show(id)["status"] == "uploading"  # a smaller wish may follow
    assert start(cloud, id, stores=["a"]).status == 202
    assert ended(cloud, id)["status"] == "success"
    at_rest(cloud)
    assert used(cloud)["size_total"] == 1


def test_an_import_holds_its_room_while_it_runs(cloud: ImageCloud) -> None:
    limit(cloud, size_total=1)
    first, second = cloud.image(), cloud.image()
    assert stage(cloud, first).status == 204
    gate(cloud).hold()
    assert start(cloud, first, stores=["b"]).status == 202
    assert gate(cloud).reached.wait(60)
    assert used(cloud) == {"size_total": 1, "stage_total": 1, "count_total": 2, "count_uploading": 1}
    assert cloud.upload(second, DATA).status == 413
    gate(cloud).full = True
    gate(cloud).go_on.set()
    assert ended(cloud, first)["status"] == "failure"
    at_rest(cloud)
    assert used(cloud) == {"size_total": 0, "stage_total": 0, "count_total": 2, "count_uploading": 0}
    assert cloud.upload(second, DATA).status == 204


def test_a_fetch_of_unknown_size_is_counted_when_it_is_known(cloud: ImageCloud) -> None:
    limit(cloud, size_total=1)
    cloud.filled(DATA)
    id = cloud.image()
    assert start(cloud, id, WEB).status == 202
    assert ended(cloud, id)["status"] == "failure"
    at_rest(cloud)
    assert cloud.show(id)["status"] == "queued"
    assert used(cloud) == {"size_total": 1, "stage_total": 0, "count_total": 2, "count_uploading": 0}
    assert sum(len(store.names()) for store in cloud.stores.values()) == 1  # no bytes are left of it


class Endless(Web):
    """Sends more than anybody has room for, and counts what was taken of it."""

    def __init__(self, size: int | None = None) -> None:
        super().__init__()
        self.remote, self.taken = Remote(size=size), 0

    def open(self, checked: Mapping[str, Any], size_limit: int, check: Callable[[], None]) -> Source:
        return Source(self.remote, self.chunks())

    def chunks(self) -> Iterator[bytes]:
        while self.taken < 64 << 20:
            self.taken += 1 << 16
            yield bytes(1 << 16)


@pytest.mark.parametrize("stores", [["a"], ["a", "b"]])
def test_a_fetch_is_cut_as_soon_as_there_is_no_room_for_it(cloud: ImageCloud, stores: list[str]) -> None:
    limit(cloud, size_total=4)
    id, web = cloud.image(), Endless()
    cloud.rooms.methods = {**cloud.rooms.methods, "web-download": web}
    assert start(cloud, id, WEB, stores=stores).status == 202
    task = ended(cloud, id)
    assert task["status"] == "failure" and "image_size_total" in task["message"]
    assert web.taken == (4 << 20) // len(stores) + (1 << 16)
    at_rest(cloud)
    assert used(cloud) == {"size_total": 0, "stage_total": 0, "count_total": 1, "count_uploading": 0}


def test_a_fetch_that_announces_too_much_is_not_begun(cloud: ImageCloud) -> None:
    limit(cloud, stage_total=1)
    id, web = cloud.image(), Endless(2 << 20)
    cloud.rooms.methods = {**cloud.rooms.methods, "web-download": web}
    assert start(cloud, id, WEB).status == 202
    task = ended(cloud, id)
    assert task["status"] == "failure" and "image_stage_total" in task["message"]
    assert web.taken == 0


def test_of_two_fetches_at_once_the_one_that_finds_no_room_is_cut(
    cloud: ImageCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(obtain, "RESERVED_S", -1.0)
    limit(cloud, size_total=4)
    id, other, web = cloud.image(), cloud.image(), Endless()
    chunks = web.chunks

    def beside() -> Iterator[bytes]:
        for n, chunk in enumerate(chunks()):
            if n == 16:
                assert cloud.upload(other, bytes(2 << 20)).status == 204
            yield chunk

    web.chunks = beside  # type: ignore[method-assign]
    cloud.rooms.methods = {**cloud.rooms.methods, "web-download": web}
    assert start(cloud, id, WEB).status == 202
    assert ended(cloud, id)["status"] == "failure"
    assert web.taken == (2 << 20) + (1 << 16)


def test_a_copy_needs_room_and_counts_as_an_upload(cloud: ImageCloud) -> None:
    id = cloud.filled(DATA)
    limit(cloud, size_total=1)
    assert copy(cloud, id).status == 413
    limit(cloud, size_total=2, count_uploading=1)
    gate(cloud).hold()
    assert copy(cloud, id).status == 202
    assert gate(cloud).reached.wait(60)
    assert used(cloud) == {"size_total": 2, "stage_total": 0, "count_total": 1, "count_uploading": 1}
    assert cloud.upload(cloud.image(), b"x").status == 413
    gate(cloud).go_on.set()
    assert ended(cloud, id)["status"] == "success"
    at_rest(cloud)
    assert used(cloud) == {"size_total": 2, "stage_total": 0, "count_total": 2, "count_uploading": 0}


@pytest.mark.parametrize("when", ["staged", "importing"])
def test_deletion_gives_the_room_back(cloud: ImageCloud, when: str) -> None:
    limit(cloud, size_total=1, stage_total=1)
    id = cloud.image()
    assert stage(cloud, id).status == 204
    if when == "importing":
        gate(cloud).hold()
        assert start(cloud, id, stores=["b"]).status == 202
        assert gate(cloud).reached.wait(60)
    answer = cloud.call("DELETE", f"/image/v2/images/{id}", headers={"moorage-wait": "1"})
    gate(cloud).go_on.set()
    assert answer.status in (204, 504)
    at_rest(cloud)
    assert used(cloud) == dict.fromkeys(used(cloud), 0)
