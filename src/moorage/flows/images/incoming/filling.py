"""
The one way in which an image's bytes get into stores: learnt of once while they go by, written to each store beside.

Uploads, imports and copies all go through here. Memory stays flat: a batch is with the hashes and with the stores, and
the next one is taken when the stores have written it.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from moorage.core.errors import Problem
from moorage.images.store import Store, Writer
from moorage.operations.work import known

T_co = TypeVar("T_co", covariant=True)
S = TypeVar("S")


class Learning(Protocol[T_co]):
    """Who learns of bytes while they go by: `images.content.intake`."""

    def feed(self, chunk: bytes) -> None: ...
    def finish(self) -> T_co: ...


@dataclass(frozen=True)
class Place:
    """Where bytes go: a store, and the name that they get there."""

    store: Store
    name: str


class Filling(Generic[S]):
    """
    The same bytes in each of `places`, by the stores' ids. With `spare`, a store that fails is left out (`failures`) as
    long as another one goes on; without, its failure is raised. One call at a time.
    """

    def __init__(
        self, learning: Learning[S], places: Mapping[str, Place], size: int | None, *, spare: bool = False
    ) -> None:
        self._learning, self._size, self._spare = learning, size, spare
        self._stores = dict(places)
        self._writers: dict[str, Writer] = {}
        self._threads = ThreadPoolExecutor(len(places), thread_name_prefix="filling") if len(places) > 1 else None
        self.failures: dict[str, Problem] = {}

    @property
    def filled(self) -> dict[str, str]:
        """The stores that have not failed, and the name in each."""
        return {id: place.name for id, place in self._stores.items()}

    def take(self, chunk: bytes) -> None:
        """Learn of the next bytes, and write them."""
        self._learning.feed(chunk)
        self._each(lambda store: self._writer(store).write(chunk))

    def close(self) -> S:
        """All bytes are durable in the stores that are left; what was learnt of them."""
        learnt = self._learning.finish()
        self._each(lambda store: self._writer(store).commit())
        self._end()
        return learnt

    def clear(self) -> None:
        """Nothing half-written is left, as far as that can be done here and now; what fails in it is left to others."""
        for store in list(self._writers):
            self._abort(store)
        self._end()

    def _writer(self, store: str) -> Writer:
        if store not in self._writers:
            place = self._stores[store]
            self._writers[store] = place.store.create(place.name, self._size)
        return self._writers[store]

    def _each(self, act: Callable[[str], None]) -> None:
        if self._threads is None:
            found = [self._tried(act, store) for store in self._stores]
        else:
            found = list(self._threads.map(lambda store: self._tried(act, store), list(self._stores)))
        failed = {store: problem for store, problem in zip(list(self._stores), found, strict=True) if problem}
        for store, problem in failed.items():
            self.failures[store] = known(problem)
        if failed and (not self._spare or len(failed) == len(self._stores)):
            raise next(iter(failed.values()))
        for store in failed:
            del self._stores[store]
            self._abort(store)

    @staticmethod
    def _tried(act: Callable[[str], None], store: str) -> Exception | None:
        try:
            act(store)
        except Exception as problem:
            return problem
        return None

    def _abort(self, store: str) -> None:
        writer = self._writers.pop(store, None)
        if writer is not None:
            self._tried(lambda _: writer.abort(), store)

    def _end(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False)
