"""
Upload an image: the request that brings the bytes carries it out itself.

The bytes are under a name of their own from the first one on, and nobody looks there before the last transaction makes
the image active.  Until then, whatever ends the upload (its client, a refusal, a full store, a deletion, the death of
this process) leaves the image queued and no bytes.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moorage.core.caller import Caller
from moorage.core.ids import new_uuid
from moorage.database import Transaction
from moorage.flows.images.stores import store_for, store_of
from moorage.flows.rooms import Rooms
from moorage.images import receiving
from moorage.images.errors import GoneMeanwhile, UploadStalled
from moorage.images.intake import Intake, Taken
from moorage.images.store import Writer
from moorage.operations import journal
from moorage.operations.flow import Cancelled, Flow, Work
from moorage.operations.hold import Held, received
from moorage.operations.records import State

DEADLINE_S = 14 * 86400.0  #: an upload that gets on has time; one that does not is given up much earlier
QUEUE = "any"


def discard(work: Work) -> None:
    """No bytes are left of the upload."""
    store_of(work.rooms, work.input["store"]).delete(work.input["object"])


def settle(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """An upload that failed leaves the image queued from the moment on in which that is known."""
    if operation["back"] or operation["state"] == State.UNDONE:
        receiving.fall_back(tx, operation["resource_id"], operation["id"], operation["error"])


UPLOAD_IMAGE = Flow("upload-image", (received("receive", undo=discard),), settle=settle, deadline_s=DEADLINE_S)


@dataclass(frozen=True)
class Asked:
    """What a client says of its upload beforehand."""

    size: int | None = None  #: bytes
    store: str | None = None
    base: str | None = None  #: an image whose store is wanted


class Upload:
    """One upload. Its methods block; which thread may do what is said by each."""

    def __init__(self, rooms: Rooms, caller: Caller, id: str, asked: Asked) -> None:
        self._rooms, self._caller, self.image_id, self._asked = rooms, caller, id, asked
        self._settings = rooms.settings.images
        self._operation = new_uuid()
        self._object = f"images/{id}/{self._operation}-1"
        self._store = ""
        self._held: Held | None = None
        self._intake: Intake | None = None
        self._writer: Writer | None = None
        self._taken: Taken | None = None
        self._moved = time.monotonic()

    def begin(self) -> None:
        """The image is `saving`, and this request owns the operation. For the SQL executor."""
        image = self._rooms.database.transact(self._begin)
        self._held = Held(self._rooms.runner, self._operation)
        self._held.__enter__()
        self._intake = Intake(
            image["disk_format"],
            image["container_format"],
            size=self._asked.size,
            size_limit=self._settings.size_cap,
            os_hash_algo=self._settings.hash_algorithm,
            largest_disk_bytes=self._settings.largest_disk,
        )

    def _begin(self, tx: Transaction) -> Mapping[str, Any]:
        image = receiving.begin(tx, self._caller, self.image_id, self._operation)
        self._store = store_for(tx, self._rooms, self._caller, self._asked.store, self._asked.base)
        journal.begin(
            tx,
            UPLOAD_IMAGE.kind,
            "image",
            self.image_id,
            queue=QUEUE,
            project_id=image["owner"],
            input={"store": self._store, "object": self._object},
            caller=self._caller,
            deadline_s=DEADLINE_S,
            owner=self._rooms.process,
            id=self._operation,
        )
        return image

    def take(self, chunks: Sequence[bytes]) -> None:
        """Hash, inspect and write the next bytes. For the file executor, one call at a time."""
        assert self._intake is not None
        self._moved = time.monotonic()
        batch = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._intake.feed(batch)
        self._open().write(batch)
        self._moved = time.monotonic()

    def close(self) -> None:
        """All bytes are durable and what was to be learnt of them is known. For the file executor."""
        assert self._intake is not None
        self._taken = self._intake.finish()
        self._open().commit()

    def record(self) -> None:
        """The image is active. For the SQL executor."""
        self._rooms.database.transact(self._record)
        self._let_go(None)

    def _record(self, tx: Transaction) -> None:
        assert self._held is not None and self._taken is not None
        self._held.finish(tx, size=self._taken.size)
        places = {self._store: self._object}
        receiving.complete(tx, self.image_id, self._operation, self._taken, places, self._caller.request_id)

    def check(self) -> None:
        """Raise what ends an upload from outside: a deletion of the image, or silence. For the SQL executor."""
        assert self._held is not None
        if time.monotonic() - self._moved > self._settings.upload_idle_s:
            raise UploadStalled(seconds=self._settings.upload_idle_s)
        try:
            self._held.check()
        except Cancelled:
            raise GoneMeanwhile(image=self.image_id) from None
        with self._rooms.database.read() as tx:
            if not receiving.waits(tx, self.image_id, self._operation):
                raise GoneMeanwhile(image=self.image_id)

    def clear(self) -> None:
        """No bytes are left, as far as that can be done here. For the file executor."""
        if self._writer is not None:
            self._writer.abort()

    def give_up(self, problem: BaseException) -> None:
        """The image is queued again. For the SQL executor, after `clear`."""
        self._let_go(problem)

    def sweep(self) -> None:
        """Nothing is left that was stored after another process had taken over. For the file executor."""
        with self._rooms.database.read() as tx:
            row = journal.get(tx, self._operation)
        if self._writer is not None and row is not None and row["epoch"] != 1:  # it only goes back
            store_of(self._rooms, self._store).delete(self._object)

    def _open(self) -> Writer:
        if self._writer is None:
            self._writer = self._rooms.stores[self._store].create(self._object, self._asked.size)
        return self._writer

    def _let_go(self, problem: BaseException | None) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.__exit__(type(problem) if problem else None, problem, None)
