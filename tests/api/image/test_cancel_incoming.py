"""What is staged, or said to be elsewhere, is cancelled half-way: the image waits again, and its owner has his room."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from moorage.database import Database
from moorage.drivers.stores.files import FilesStore
from moorage.images.records import digests, staged
from tests.api.image.test_cancel import at_rest, bytes_of, cancel, doing
from tests.api.image.test_locations import DATA, Web, make, queued_without_a_trace
from tests.api.image.test_quotas import used
from tests.images.cloud import BYTES, ImageCloud, Reply, running
from tests.patience import set_in_the_end, until

__all__ = ["make"]

LIMITS = {"quota_size_total": 100, "quota_stage_total": 100, "quota_count_uploading": 10}
NOTHING = {"size_total": 0, "stage_total": 0, "count_total": 1, "count_uploading": 0}


@pytest.fixture
def limited(database: Database, state_dir: Path) -> Iterator[ImageCloud]:
    with running(database, state_dir, {"a": FilesStore("a", state_dir / "a")}, **LIMITS) as cloud:
        yield cloud


def nothing_left(cloud: ImageCloud) -> None:
    at_rest(cloud)
    with cloud.database.read() as tx:
        assert (tx.all(select(staged)), tx.all(select(digests))) == ([], [])
    assert used(cloud) == NOTHING


def test_staging_is_cancelled_and_who_sends_is_told(limited: ImageCloud) -> None:
    id, sent, go_on = limited.image(), threading.Event(), threading.Event()

    def chunks() -> Iterator[bytes]:
        yield b"x" * (3 << 20)
        sent.set()
        assert go_on.wait(60)
        yield b"x"

    def put() -> Reply:
        return limited.call("PUT", f"/image/v2/images/{id}/stage", content=chunks(), headers=BYTES)

    with ThreadPoolExecutor(1) as pool, set_in_the_end(go_on):
        answer = pool.submit(put)
        assert sent.wait(60)
        operation = doing(limited, id)
        assert used(limited)["count_uploading"] == 1
        assert cancel(limited, operation).status == 202
        until(lambda: limited.show(id)["status"] == "queued", what="it goes on")
        go_on.set()
        assert answer.result().status == 409
    nothing_left(limited)
    assert bytes_of(limited) == 0
    over = cancel(limited, operation)
    assert over.status == 409 and b"it is over" in over.body
    assert limited.upload(id, DATA).status == 204


def test_data_elsewhere_that_are_being_compared_are_given_up(make: Callable[..., Web]) -> None:
    it = make(**LIMITS)
    compared, go_on, asked = threading.Event(), threading.Event(), []
    whole = it.site.pages["/disk.raw"]

    def page(connection: Any) -> None:
        asked.append(1)
        if len(asked) == 1:  # how large it is
            whole(connection)
            return
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(DATA)}\r\n\r\n".encode() + DATA[: 2 << 20])
        compared.set()
        go_on.wait(60)
        connection.sendall(DATA[2 << 20 :])

    it.site.pages["/disk.raw"] = page
    id = it.cloud.image()
    value = hashlib.sha512(DATA).hexdigest()
    with set_in_the_end(go_on):
        assert it.add(id, os_hash_algo="sha512", os_hash_value=value).status == 202
        assert compared.wait(60)
        operation = doing(it.cloud, id)
        assert (it.cloud.show(id)["status"], used(it.cloud)["count_uploading"]) == ("importing", 1)
        assert cancel(it.cloud, operation).status == 202
    until(lambda: it.task(id)["status"] == "failure", what="it goes on")
    assert it.task(id)["message"] == "The operation was cancelled."
    nothing_left(it.cloud)
    queued_without_a_trace(it, id)
    assert cancel(it.cloud, operation).status == 409
    it.site.pages["/disk.raw"] = whole
    assert it.add(id, os_hash_algo="sha512", os_hash_value=value).status == 202
    until(lambda: it.cloud.show(id)["status"] == "active", what="it cannot be tried again")
