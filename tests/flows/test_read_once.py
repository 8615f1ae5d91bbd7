"""An image whose hashes nobody knows is read from end to end once, whether for them, for a volume or for both."""

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from moorage.flows.images.locations import hash_image
from moorage.images.records import digests, images
from moorage.operations import journal
from moorage.operations.records import OVER, State
from moorage.operations.work import LOOK_S
from tests.flows.far import DATA, SIZE, Far, FarStore, far_away
from tests.patience import set_in_the_end, until

UNKNOWN = dict.fromkeys(("checksum", "os_hash_algo", "os_hash_value", "virtual_size", "read_as"))


class Readers:
    """Who reads the far store's object from its beginning, in turn; each stands still in the middle until it may go."""

    def __init__(self, store: FarStore, *, pause_s: float = 0.0) -> None:
        self.passed: list[int] = []  #: bytes, reader by reader
        self.may_go = [threading.Event() for _ in range(3)]
        self._open, self._pause_s = store.open, pause_s
        store.open = self.open  # type: ignore[method-assign]

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        reader = len(self.passed)
        self.passed.append(0)
        for chunk in self._open(name, offset, length):
            self.passed[reader] += len(chunk)
            yield chunk
            assert self.may_go[reader].wait(60)
            time.sleep(self._pause_s)


@pytest.fixture
def it(state_dir: Path, database_url: str) -> Iterator[Far]:
    with far_away(state_dir, database_url, hydration_mib_per_s=0) as found:
        yield found


def unhashed(it: Far) -> str:
    """An image in the far store of whose bytes nothing is known."""
    image = it.image()
    with it.rooms.database.write() as tx:
        tx.run(update(images).where(images.c.id == image).values(**UNKNOWN))
        tx.run(delete(digests).where(digests.c.image_id == image))
    return image


def hashing(it: Far, image: str) -> str:
    """The operation that hashes it."""
    with it.rooms.database.write() as tx:
        return hash_image.begin(tx, tx.get(images, image) or {}, "any", "sha512")


def row(it: Far, operation: str) -> Any:
    with it.rooms.database.read() as tx:
        return journal.get(tx, operation)


def known(it: Far, image: str) -> None:
    """All is known of its bytes."""
    with it.rooms.database.read() as tx:
        found = tx.get(images, image) or {}
        kept = tx.value(select(digests.c.digests).where(digests.c.image_id == image))
    assert (found["checksum"], found["read_as"]) == (hashlib.md5(DATA).hexdigest(), "raw")
    assert found["os_hash_value"] == hashlib.sha512(DATA).hexdigest() and len(kept) == 3 * 32


def test_what_a_volume_is_read_for_is_not_read_again_to_be_hashed(it: Far) -> None:
    image = unhashed(it)
    readers = Readers(it.store)
    with set_in_the_end(*readers.may_go):
        volume = it.begin(image)
        until(lambda: readers.passed, what="the copy is not read")
        operation = hashing(it, image)
        until(lambda: row(it, operation)["state"] == State.PARKED, what="it does not wait")
        (copy,) = it.copies()
        assert row(it, operation)["waits_for"] == copy["id"]
        assert copy["id"] in it.call("GET", f"/moorage/v1/why/image/{image}")["why"]["next"]
    until(lambda: it.status(volume) == "available")
    until(lambda: row(it, operation)["state"] in OVER, what="it still waits")
    known(it, image)
    assert (row(it, operation)["state"], readers.passed) == (State.DONE, [SIZE])


def test_hashing_gives_way_to_a_copy_in_the_middle(it: Far) -> None:
    image = unhashed(it)
    readers = Readers(it.store, pause_s=LOOK_S)
    first, _, _ = readers.may_go
    with set_in_the_end(*readers.may_go):
        operation = hashing(it, image)
        until(lambda: readers.passed, what="it is not hashed")
        volume = it.begin(image)
        until(lambda: len(readers.passed) == 2, what="the copy is not read")
        first.set()
        until(lambda: row(it, operation)["state"] == State.PARKED, what="it does not give way")
    until(lambda: it.status(volume) == "available")
    until(lambda: row(it, operation)["state"] in OVER, what="it still waits")
    known(it, image)
    assert readers.passed[0] < SIZE and readers.passed[1:] == [SIZE]


def test_a_copy_that_is_hindered_is_not_waited_for(it: Far) -> None:
    image = unhashed(it)
    it.store.down = True
    it.begin(image)
    until(lambda: it.copies() and it.copies()[0]["trouble"], what="it is not hindered")
    it.store.down = False
    operation = hashing(it, image)
    until(lambda: row(it, operation)["state"] in OVER, what="it waits")
    known(it, image)
