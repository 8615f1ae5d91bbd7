"""
What the image service asks of a store, and what it may rely on.

A store keeps *objects*: bytes under a name that is used once and never again (`images/<image id>/<operation>-<epoch>`).
Calling a verb twice is calling it once. A verb returns (done, and durable) or raises a `Problem` (not done). Verbs
block; they run on worker threads, any number at once for different objects, and end within a bounded time.

Building a store reaches nothing, so that a process starts whatever is down; each verb says `StoreUnavailable` for
itself. Who notices that, keeps others from waiting for the same and looks when the store is back is one wrapper around
all of them (`drivers.stores.health`): drivers neither retry for long nor remember.
"""

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moorage.core.errors import Malformed, Problem, Refused, Unavailable


class StoreFull(Problem):
    """The store {store} has no room for the image."""

    status, code = 413, "store.full"


class StoreUnavailable(Unavailable):
    """The store {store} does not answer: {why}."""

    code = "store.unavailable"


class ObjectUnavailable(StoreUnavailable):
    """The data of image {image} in store {store} cannot be had: {why}."""

    code = "store.object-unavailable"  #: one object's trouble, such as a foreign server's, which is not the store's


class StoreMisconfigured(Problem):
    """The store {store} is configured wrongly: {why}."""

    code = "store.misconfigured"


class StoreReadOnly(Refused):
    """The store {store} is read only."""

    code = "store.read-only"


class LocationRefused(Malformed):
    """Invalid location: {reason}"""

    code = "store.location-refused"


class ObjectMissing(Problem):
    """The data of image {image} is missing in store {store}."""

    status, code = 503, "store.object-missing"


LONGEST_NAME = 500  #: characters of an object's name, adopted ones included


def is_adopted(name: str) -> bool:
    """Whether others have put the object there: its name is its URL then, while ours are plain paths."""
    return "://" in name


@dataclass(frozen=True)
class Traits:
    """What a store can do."""

    read_only: bool = False
    local_files: bool = (
        False  #: `path` names a file of this host, which a volume may lie on and which can be sent straight from disk
    )
    adopts: bool = False  #: takes in objects that others have written, by their URL
    takes: bool = False  #: `take` makes an object of a volume of the Block Storage that it keeps its own volumes in
    remote: bool = False  #: another service, which may take its time: nobody who does not need it waits for it
    shows: bool = False  #: `show` makes an object of a layer that nobody writes to any more


@dataclass(frozen=True)
class Trouble:
    """Why a store cannot be used, and since when: seconds since 1970."""

    why: str
    since: float

    def __str__(self) -> str:
        return f"{self.why} (since {datetime.fromtimestamp(self.since, UTC):%Y-%m-%d %H:%M:%S} UTC)"


class Writer(ABC):
    """An object being written. Nothing is visible under its name before `commit` has returned."""

    @abstractmethod
    def write(self, chunk: bytes) -> None:
        """Append. Raises `StoreFull` when there is no room."""

    @abstractmethod
    def commit(self) -> None:
        """Make the object durable under its name."""

    @abstractmethod
    def abort(self) -> None:
        """Leave nothing. After a `commit`, or twice, it does nothing."""


class Store(ABC):
    """A place for images. `memory` is the smallest one and reads first."""

    traits: Traits = Traits()
    kind: str  #: as Glance names it on the wire: file, cinder, http, rbd, s3, swift

    def __init__(self, id: str) -> None:
        self.id = id

    @abstractmethod
    def create(self, name: str, size: int | None) -> Writer:
        """
        Begin a new object; `size` in bytes when it is known. A leftover of an earlier try under `name` is replaced.
        """

    @abstractmethod
    def open(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """
        The bytes from `offset`, at most `length` of them, in chunks of at most 1 MiB. Fewer than there are is never
        their end: what breaks off raises. Whoever stops early drops the iterator, which lets go of what it holds. A
        reader that a delete overtakes reads on, or is told; it never reads anything else.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Leave no bytes under `name`, finished or half-written. Gone is fine; what is adopted stays as it is."""

    @abstractmethod
    def size(self, name: str) -> int:
        """Bytes under `name`."""

    @abstractmethod
    def names(self) -> frozenset[str]:
        """All objects, wanted or not, half-written ones too: what `doctor` compares with the rows."""

    @abstractmethod
    def free(self) -> int | None:
        """Bytes that still fit; None where nobody knows."""

    def path(self, name: str) -> Path | None:
        """The file that holds the object, where `traits.local_files`."""
        return None

    def file(self, name: str) -> tuple[io.FileIO, int] | None:
        """
        The file that holds the object, where there is one, open to be read, and its size: for who sends it straight
        from the disk.
        """
        return None

    def take(self, name: str, volume: str) -> int:
        """
        Make an object, durable, of what the volume holds at one moment between call and return, where `traits.takes`;
        no byte is copied, and the volume goes on as it was. Its size in bytes, which is the volume's.
        """
        raise StoreReadOnly(store=self.id)

    def show(self, name: str, below: str, format: str, size: int) -> str:
        """
        Make an object, durable, of the `size` bytes that the frozen layer `below` of a backend beside this store shows,
        where `traits.shows`; no byte is copied. The name that it really has, which begins with `name`: twice is once.
        Whether it needs that layer from then on, `lies_on_layers` says.
        """
        raise StoreUnavailable(store=self.id, why="it keeps copies only")

    def lies_on_layers(self, name: str) -> bool:
        """Whether the object needs the layer that `show` has made it of."""
        return False

    def url(self, name: str) -> str:
        """Where the object is, as locations show it: no secrets in it."""
        return f"{self.kind}://{self.id}/{name}"

    def adopt(self, url: str) -> str:
        """
        The name under which the object that others have put at `url` is read, where `traits.adopts`; any number of
        images may name it. `LocationRefused` where there can be none of this store. Nothing is read: whether it is
        there, `size` tells. For use outside of transactions.
        """
        raise LocationRefused(reason=f"the store {self.id} takes in nothing that others have written")

    def probe(self) -> None:
        """Raise `StoreUnavailable` with the reason where the store cannot be used now. Cheap."""
        self.free()

    def trouble(self) -> Trouble | None:
        """Why the store cannot be used now, as far as this process knows without asking it; None: it can."""
        return None

    def look(self) -> None:
        """Have whoever wraps the store find out whether it can be used, without waiting for that."""

    def close(self) -> None:
        """Let go of connections and threads; the process ends."""

    def properties(self) -> Mapping[str, Any]:
        """What administrators are shown of it, by the names that Glance uses. No secrets."""
        return {}
