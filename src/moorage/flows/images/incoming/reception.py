"""
Bytes that a request brings: the request carries out the operation that they come in with.

The bytes are under a name of their own from the first one on, and nobody looks there before the last transaction says
so. Until then, whatever ends it (its client, a refusal, a full store, a deletion, the death of this process) leaves the
image queued and no bytes.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from moorage.core.caller import Caller
from moorage.core.ids import new_uuid
from moorage.database import Transaction
from moorage.flows.images.incoming.filling import Filling, Learning, Place
from moorage.flows.rooms import Rooms
from moorage.images import allowance, receiving
from moorage.images.errors import GoneMeanwhile, UploadStalled
from moorage.images.store import Store
from moorage.operations import journal
from moorage.operations.flow import Flow
from moorage.operations.hold import Held
from moorage.operations.records import State

DEADLINE_S = 14 * 86400.0  #: an upload that gets on has time; one that does not is given up much earlier
QUEUE = "any"

S = TypeVar("S")


def settle(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """An upload that failed leaves the image queued from the moment on in which that is known."""
    if operation["back"] or operation["state"] == State.UNDONE:
        receiving.fall_back(tx, operation["resource_id"], operation["id"], operation["error"])


@dataclass(frozen=True)
class Asked:
    """What a client says of its upload beforehand."""

    size: int | None = None  #: bytes
    store: str | None = None
    base: str | None = None  #: an image whose store is wanted


class Reception(ABC, Generic[S]):
    """One upload, wherever it goes. Its methods block; which thread may do what is said by each."""

    flow: Flow

    def __init__(self, rooms: Rooms, caller: Caller, id: str, asked: Asked) -> None:
        self._rooms, self._caller, self.image_id, self._asked = rooms, caller, id, asked
        self._settings = rooms.settings.images
        self._operation = new_uuid()
        self._object = ""
        self._held: Held | None = None
        self._filling: Filling[S] | None = None
        self._store: Store | None = None
        self._learnt: S | None = None
        self._size_limit = self._settings.size_cap
        self._moved = time.monotonic()

    @abstractmethod
    def _prepare(self, tx: Transaction) -> tuple[Mapping[str, Any], str, Store]:
        """The image waits for the bytes: its row, the name that they are to have, and where."""

    @abstractmethod
    def _learning(self, image: Mapping[str, Any]) -> Learning[S]:
        """What looks at the bytes."""

    @abstractmethod
    def _enter(self, tx: Transaction, learnt: S) -> None:
        """The image has the bytes."""

    @property
    def store(self) -> str:
        """Where the bytes go, once it has begun."""
        return self._store.id if self._store is not None else ""

    def begin(self) -> None:
        """The image waits, and this request owns the operation. For the SQL executor."""
        image = self._rooms.database.transact(self._begin)
        self._held = Held(self._rooms.runner, self._operation)
        self._held.__enter__()
        assert self._store is not None
        place = {self._store.id: Place(self._store, self._object)}
        self._filling = Filling(self._learning(image), place, self._asked.size)

    def _begin(self, tx: Transaction) -> Mapping[str, Any]:
        image, self._object, self._store = self._prepare(tx)
        journal.begin(
            tx,
            self.flow.kind,
            "image",
            self.image_id,
            queue=QUEUE,
            project_id=image["owner"],
            input={"store": self._store.id, "object": self._object},
            caller=self._caller,
            deadline_s=DEADLINE_S,
            owner=self._rooms.process,
            id=self._operation,
        )
        left = allowance.left(tx, self._operation)
        self._size_limit = self._settings.size_cap if left is None else min(left, self._settings.size_cap)
        return image

    def take(self, chunks: Sequence[bytes]) -> None:
        """Look at the next bytes and write them. For the file executor, one call at a time."""
        assert self._filling is not None
        self._moved = time.monotonic()
        self._filling.take(chunks[0] if len(chunks) == 1 else b"".join(chunks))
        self._moved = time.monotonic()

    def close(self) -> None:
        """All bytes are durable and what was to be learnt of them is known. For the file executor."""
        assert self._filling is not None
        self._learnt = self._filling.close()

    def record(self) -> None:
        """The image has the bytes. For the SQL executor."""
        self._rooms.database.transact(self._record)
        self._let_go(None)

    def _record(self, tx: Transaction) -> None:
        assert self._held is not None and self._learnt is not None
        self._held.finish(tx)
        self._enter(tx, self._learnt)

    def check(self) -> None:
        """
        Raise what ends an upload from outside: a deletion of the image, silence, or that somebody has cancelled it. For
        the SQL executor.
        """
        assert self._held is not None
        if time.monotonic() - self._moved > self._settings.upload_idle_s:
            raise UploadStalled(seconds=self._settings.upload_idle_s)
        with self._rooms.database.read() as tx:
            if not receiving.waits(tx, self.image_id, self._operation):
                raise GoneMeanwhile(image=self.image_id)
        self._held.check()

    def clear(self) -> None:
        """No bytes are left, as far as that can be done here. For the file executor."""
        if self._filling is not None:
            self._filling.clear()

    def give_up(self, problem: BaseException) -> None:
        """The image is queued again. For the SQL executor, after `clear`."""
        self._let_go(problem)

    def sweep(self) -> None:
        """Nothing is left that was stored after another process had taken over. For the file executor."""
        with self._rooms.database.read() as tx:
            row = journal.get(tx, self._operation)
        if self._filling is not None and row is not None and row["epoch"] != 1:  # it only goes back
            assert self._store is not None
            self._store.delete(self._object)

    def _let_go(self, problem: BaseException | None) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.__exit__(type(problem) if problem else None, problem, None)
