"""
Where copies get their bytes: from the store that they were begun with, or another one that has the image as well.

What comes is believed by nobody here: whoever asked compares it with the image's digests.
"""

import threading
from collections.abc import Iterator, Sequence

from moorage.core.errors import Problem
from moorage.database.errors import DatabaseUnavailable
from moorage.flows.images.stores import by_weight, store_of
from moorage.flows.rooms import Rooms
from moorage.images.locations import location
from moorage.volumes import copies
from moorage.volumes.backend import Supply


class CopyUnknown(Problem):
    """The copy {copy} is in no row."""

    status, code = 503, "copy.unknown"


class StoreSupply(Supply):
    """Reads from the stores of `rooms`, and writes down what readers suffer."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._guard = threading.Lock()
        self._known: dict[str, Sequence[tuple[str, str]]] = {}  #: what rows last said, for when they cannot be asked
        self._turns: dict[str, int] = {}  #: how often a copy's source has failed: the next one is tried first

    def open(self, copy: str, offset: int, length: int) -> Iterator[bytes]:
        sources = self._sources(copy)
        turn = self._turns.get(copy, 0) % len(sources)
        last: Problem | None = None
        for store, name in [*sources[turn:], *sources[:turn]]:
            try:
                return iter([b"".join(store_of(self._rooms, store).open(name, offset, length))])
            except Problem as problem:
                last = last or problem
        raise last or CopyUnknown(copy=copy)

    def _sources(self, copy: str) -> Sequence[tuple[str, str]]:
        """The one that the copy depends on first. A database that is away for a while keeps nobody from reading."""
        try:
            found = self._known[copy] = self._read_sources(copy)
        except DatabaseUnavailable:
            if copy not in self._known:
                raise
            return self._known[copy]
        return found

    def _read_sources(self, copy: str) -> Sequence[tuple[str, str]]:
        with self._rooms.database.read() as tx:
            row = copies.of(tx, copy)
            if row is None:
                raise CopyUnknown(copy=copy)
            held = location.objects(tx, row["image_id"])
        others = [id for id in by_weight(self._rooms, held) if id != row["store"]]
        return [(row["store"], row["object"]), *((id, held[id]) for id in others)]

    def told(self, copy: str, problem: Problem | None) -> None:
        said = problem.sentence if problem is not None else None
        if problem is not None:
            with self._guard:
                self._turns[copy] = self._turns.get(copy, 0) + 1
        with self._rooms.database.read() as tx:  # whoever fills it may have written that all is well again
            row = copies.of(tx, copy)
        if row is not None and row["trouble"] != said:
            with self._rooms.database.write() as tx:
                copies.tell(tx, row["id"], said)
