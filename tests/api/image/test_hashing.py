"""An image is hashed in the background for as long as that takes, and nobody who wants something of it waits for it."""

import hashlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from moorage.flows.images.locations import hash_image
from moorage.images.records import hashes, images, locations
from moorage.images.signatures import signed
from moorage.operations import journal
from moorage.operations.records import State, operations
from tests.api.image.test_copies import copy
from tests.api.image.test_import import DATA, cloud, ended, files
from tests.images.cloud import ImageCloud
from tests.patience import set_in_the_end, until

__all__ = ["cloud"]

UNKNOWN = dict.fromkeys(("checksum", "os_hash_algo", "os_hash_value", "virtual_size", "read_as"))


class Hashing:
    """An image in store a whose hashing stands still in the middle; whoever reads there later is not kept."""

    def __init__(self, cloud: ImageCloud) -> None:
        self.cloud, self.id = cloud, cloud.filled(DATA)
        self.reached, self.go_on, self.reads = threading.Event(), threading.Event(), 0
        store: Any = cloud.stores["a"]
        self._open, store.open = store.open, self.open
        with cloud.database.write() as tx:
            tx.run(update(images).where(images.c.id == self.id).values(**UNKNOWN))
            self.operation = hash_image.begin(tx, tx.get(images, self.id) or {}, "any", "sha512")
        assert self.reached.wait(60)

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.reads += 1
        chunks = self._open(name, offset, length)
        return self._held(chunks) if self.reads == 1 else chunks

    def _held(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield next(chunks)
        self.reached.set()
        assert self.go_on.wait(60)
        yield from chunks

    def row(self) -> Any:
        with self.cloud.database.read() as tx:
            return journal.get(tx, self.operation)

    def over(self) -> str:
        self.go_on.set()
        until(lambda: self.row()["state"] in (State.DONE, State.UNDONE), what="it goes on hashing")
        return str(self.row()["state"])

    def why(self) -> Any:
        return self.cloud.call("GET", f"/moorage/v1/why/image/{self.id}").json["why"]


@pytest.fixture
def hashing(cloud: ImageCloud) -> Iterator[Hashing]:
    it = Hashing(cloud)
    with set_in_the_end(it.go_on):
        yield it


def test_an_image_is_copied_while_it_is_hashed(cloud: ImageCloud, hashing: Hashing) -> None:
    assert hashing.why()["operation"]["id"] == hashing.operation
    assert "its hashes are being computed" in hashing.why()["sentence"]
    assert copy(cloud, hashing.id).status == 202
    assert ended(cloud, hashing.id)["status"] == "success"
    assert (hashing.row()["state"], cloud.show(hashing.id)["checksum"]) == (State.RUNNING, None)
    assert files(cloud, hashing.id) == {"a", "b"}
    assert hashing.over() == State.DONE
    assert cloud.show(hashing.id)["checksum"] == hashlib.md5(DATA).hexdigest()


def test_an_image_is_hashed_while_it_is_copied(cloud: ImageCloud, hashing: Hashing) -> None:
    gate: Any = cloud.stores["b"]
    with set_in_the_end(gate.go_on):
        gate.hold()
        assert copy(cloud, hashing.id).status == 202
        assert gate.reached.wait(60)
        assert hashing.over() == State.DONE
        assert cloud.show(hashing.id)["checksum"] == hashlib.md5(DATA).hexdigest()
        gate.go_on.set()
        assert ended(cloud, hashing.id)["status"] == "success"


def test_an_image_is_deleted_while_it_is_hashed_and_nothing_is_learnt_of_it(
    cloud: ImageCloud, hashing: Hashing
) -> None:
    assert cloud.call("DELETE", f"/image/v2/images/{hashing.id}").status == 204
    o = operations.c
    deletion = select(o.state).where(o.kind == "delete-image")

    def gone() -> bool:
        with cloud.database.read() as tx:
            return tx.value(deletion) == State.DONE

    until(gone, what="the deletion waits for the hashing")
    assert hashing.row()["state"] == State.RUNNING
    assert files(cloud, hashing.id) == set()
    assert hashing.over() == State.UNDONE
    with cloud.database.read() as tx:
        assert (tx.get(images, hashing.id) or {})["checksum"] is None
        assert tx.all(select(locations)) == []


def test_a_deletion_forgets_the_hashes_of_signatures(cloud: ImageCloud) -> None:
    id = cloud.filled(DATA)
    cloud.database.transact(lambda tx: signed.keep(tx, id, {"sha384": "0" * 96}))
    assert cloud.call("DELETE", f"/image/v2/images/{id}").status == 204

    def left() -> Any:
        with cloud.database.read() as tx:
            return tx.all(select(hashes))

    until(lambda: not left(), what="a hash is left of it")
