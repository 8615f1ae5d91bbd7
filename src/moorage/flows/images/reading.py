"""
An image being read from whichever of its stores gives it: where one fails, at the beginning or in the middle, the next
goes on at the byte that was reached.
"""

import logging
from collections.abc import Iterator, Sequence

from moorage.flows.images.stores import store_of
from moorage.flows.rooms import Rooms
from moorage.images.store import ObjectMissing, StoreUnavailable

log = logging.getLogger(__name__)


class Reading(Iterator[bytes]):
    """
    `length` bytes from `offset` of an object of `size` bytes that all of `places` (store and name, the most wanted
    first) hold. Made, it has found a store that begins; fewer bytes than that are an error, never the end.
    """

    def __init__(
        self, rooms: Rooms, image: str, places: Sequence[tuple[str, str]], size: int, offset: int, length: int
    ) -> None:
        self._rooms, self._image, self._places, self._size = rooms, image, list(places), size
        self._at, self._end = offset, offset + length
        self._chunks: Iterator[bytes] = iter(())
        self.store = ""  #: who gives the bytes
        self._begin(None)

    def __next__(self) -> bytes:
        while self._at < self._end:
            try:
                chunk = next(self._chunks, b"")
                if not chunk:
                    raise ObjectMissing(image=self._image, store=self.store)
            except (ObjectMissing, StoreUnavailable) as problem:
                log.warning("reading goes on elsewhere at byte %d: %s", self._at, problem)
                self._begin(problem)
                continue
            chunk = chunk[: self._end - self._at]
            self._at += len(chunk)
            return chunk
        self._chunks = iter(())
        raise StopIteration

    def _begin(self, problem: Exception | None) -> None:
        """The next store that can gives the bytes from here on; raises the last one's problem where none is left."""
        self._chunks = iter(())  # lets go of what the last one held
        while self._places:
            self.store, name = self._places.pop(0)
            try:
                store = store_of(self._rooms, self.store)
                if store.size(name) != self._size:
                    raise ObjectMissing(image=self._image, store=self.store)
                self._chunks = store.open(name, self._at, self._end - self._at)
                return
            except (ObjectMissing, StoreUnavailable) as failed:
                problem = failed
                if self.store in self._rooms.stores:
                    self._rooms.stores[self.store].look()  # bytes that should be there: is that still our store?
        raise problem or ObjectMissing(image=self._image, store="none")
