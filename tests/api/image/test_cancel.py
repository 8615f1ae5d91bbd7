"""What brings data into an image is cancelled: nothing is left of it, and the image is as it was before."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from moorage.images.imports.method import Remote, Source
from moorage.operations.records import operations
from tests.api.image.test_copies import copy
from tests.api.image.test_import import DATA, WEB, Web, cloud, ended, gate, staged, start
from tests.api.image.test_upload import unfinished
from tests.images.cloud import BYTES, ImageCloud, Reply
from tests.patience import until

__all__ = ["cloud"]


def doing(cloud: ImageCloud, image: str) -> str:
    """The operation that is under way on the image."""
    path = f"/moorage/v1/operations?state=open&resource_id={image}"
    (found,) = cloud.call("GET", path).json["operations"]
    return str(found["id"])


def cancel(cloud: ImageCloud, operation: str, as_: str = "alice") -> Reply:
    return cloud.call("DELETE", f"/moorage/v1/operations/{operation}", as_=as_)


def at_rest(cloud: ImageCloud) -> None:
    until(lambda: not unfinished(cloud), what="an operation goes on")


def bytes_of(cloud: ImageCloud) -> int:
    return sum(len(store.names()) for store in (*cloud.stores.values(), cloud.rooms.staging) if store is not None)


def test_an_import_that_is_cancelled_leaves_the_image_queued_and_nothing_else(cloud: ImageCloud) -> None:
    id = staged(cloud)
    gate(cloud).hold()
    assert start(cloud, id, stores=["a", "b"]).status == 202
    assert gate(cloud).reached.wait(60)
    operation = doing(cloud, id)
    assert cancel(cloud, operation, "anna").status == 403
    assert cancel(cloud, operation, "bob").status == 404
    asked = cancel(cloud, operation)
    assert (asked.status, asked.json["operation"]["id"]) == (202, operation)
    assert cancel(cloud, operation).status == 202, "twice is once"
    gate(cloud).go_on.set()
    task = ended(cloud, id)
    assert (task["id"], task["status"], task["message"]) == (operation, "failure", "The operation was cancelled.")
    at_rest(cloud)
    assert (cloud.show(id)["status"], cloud.show(id)["checksum"], bytes_of(cloud)) == ("queued", None, 0)
    over = cancel(cloud, operation)
    assert over.status == 409 and b"it is over" in over.body
    assert cloud.upload(id, DATA).status == 204


class Trickle(Web):
    """Sends without end until it is told to stop."""

    def __init__(self) -> None:
        super().__init__()
        self.remote, self.begun, self.stop = Remote(), threading.Event(), threading.Event()

    def open(self, checked: Mapping[str, Any], size_limit: int, check: Callable[[], None]) -> Source:
        return Source(self.remote, self.chunks())

    def chunks(self) -> Iterator[bytes]:
        while not self.stop.wait(0.01):
            self.begun.set()
            yield b"x"


def test_a_fetch_is_cancelled_in_the_middle(cloud: ImageCloud) -> None:
    web, id = Trickle(), cloud.image()
    cloud.rooms.methods = {"web-download": web}
    try:
        assert start(cloud, id, WEB).status == 202
        assert web.begun.wait(60)
        assert cancel(cloud, doing(cloud, id)).status == 202
        assert ended(cloud, id)["message"] == "The operation was cancelled."
        at_rest(cloud)
    finally:
        web.stop.set()
    assert (cloud.show(id)["status"], bytes_of(cloud)) == ("queued", 0)


def test_a_copy_that_is_cancelled_leaves_the_image_where_it_was(cloud: ImageCloud) -> None:
    id = cloud.filled(DATA)
    gate(cloud).hold()
    assert copy(cloud, id).status == 202
    assert gate(cloud).reached.wait(60)
    assert cancel(cloud, doing(cloud, id), "root").status == 202
    gate(cloud).go_on.set()
    assert ended(cloud, id)["status"] == "failure"
    at_rest(cloud)
    assert (cloud.show(id)["status"], cloud.show(id)["stores"], bytes_of(cloud)) == ("active", "a", 1)


def test_who_uploads_is_told_that_it_was_cancelled(cloud: ImageCloud) -> None:
    id, sent, go_on = cloud.image(), threading.Event(), threading.Event()

    def chunks() -> Iterator[bytes]:
        yield b"x" * 100
        sent.set()
        assert go_on.wait(60)
        yield b"x"

    def put() -> Reply:
        return cloud.call("PUT", f"/image/v2/images/{id}/file", content=chunks(), headers=BYTES)

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(put)
        assert sent.wait(60)
        assert cancel(cloud, doing(cloud, id)).status == 202
        until(lambda: cloud.show(id)["status"] == "queued", what="it goes on")
        go_on.set()
        assert answer.result().status == 409
    at_rest(cloud)
    assert bytes_of(cloud) == 0


def test_what_nobody_could_want_half_done_is_not_cancelled(cloud: ImageCloud) -> None:
    id = cloud.filled(DATA)
    assert cloud.call("DELETE", f"/image/v2/images/{id}").status == 204
    with cloud.database.write() as tx:
        (row,) = tx.all(operations.select().where(operations.c.kind == "delete-image"))
        tx.change(operations, row["id"], {"state": "queued", "not_before": tx.now + 10**12, "ended_at": None})
    refused = cancel(cloud, row["id"])
    assert refused.status == 409 and b"nothing of its kind can be" in refused.body
