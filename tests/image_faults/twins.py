"""
Image v2 served twice over: two clouds on one database and one store, as two processes are; calls that begin at once.
"""

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import select

from moorage.database import Database
from moorage.drivers.stores.files import FilesStore
from moorage.images.records import images, locations, staged
from moorage.images.store import Store
from moorage.operations import journal
from moorage.operations.records import operations
from tests.images.cloud import PATCH, ImageCloud, Reply, running
from tests.patience import eventually

T = TypeVar("T")
IMAGES = "/image/v2/images"


class Twins:
    """Two clouds; whoever asks is sent to either in turn."""

    def __init__(self, database: Database, stores: Mapping[str, Store], clouds: list[ImageCloud]) -> None:
        self.database, self.stores, self.clouds = database, stores, clouds
        self._turn = itertools.cycle(clouds)

    @property
    def next(self) -> ImageCloud:
        return next(self._turn)

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Reply:
        return self.next.call(method, f"{IMAGES}{path}", body, **more)

    def patch(self, id: str, *changes: tuple[str, str, Any], as_: str = "alice") -> Reply:
        """Change an image: (operation, path, value) each."""
        body = [{"op": op, "path": path, "value": value} for op, path, value in changes]
        return self.call("PATCH", f"/{id}", body, headers=PATCH, as_=as_)

    def upload(self, id: str, content: Any, **more: Any) -> Reply:
        return self.next.upload(id, content, **more)

    def delete(self, id: str) -> Reply:
        return self.call("DELETE", f"/{id}")

    def show(self, id: str, as_: str = "root") -> Any:
        return self.call("GET", f"/{id}", as_=as_).json

    def data(self, id: str, as_: str = "alice", **more: Any) -> Reply:
        return self.call("GET", f"/{id}/file", as_=as_, **more)

    def under_way(self) -> list[Mapping[str, Any]]:
        with self.database.read() as tx:
            return list(tx.all(select(operations).where(journal.is_open())))

    def leftovers(self) -> list[str]:
        """What disagrees at rest: objects that no row names, rows that name none, images that wait, open operations."""
        wrong = [f"operation {row['kind']} is {row['state']}" for row in self.under_way()]
        with self.database.read() as tx:
            placed = {(row["store"], row["object"]): row["image_id"] for row in tx.all(select(locations))}
            alive = {row["id"]: row for row in tx.all(select(images).where(images.c.state != "deleted"))}
            waiting = {row["object"]: row["state"] for row in tx.all(select(staged))}
        area = self.clouds[0].rooms.staging
        assert area is not None
        there = {name for name in area.names() if name.startswith("staging/")}
        wrong += [f"staged bytes that are not waited for: {name}" for name in there - set(waiting)]
        wrong += [f"staged rows of bytes that are not there: {name}" for name in set(waiting) - there]
        wrong += [f"staged bytes are {state}" for state in waiting.values() if state != "waiting"]
        kept = {
            (id, name) for id, store in self.stores.items() for name in store.names() if not name.startswith("staging/")
        }
        wrong += [f"bytes that nobody needs: {place}" for place in kept - set(placed)]
        wrong += [f"a place without bytes: {place}" for place in set(placed) - kept]
        wrong += [f"a place of a deleted image: {id}" for id in placed.values() if id not in alive]
        filled = set(placed.values())
        for id, row in alive.items():
            settled = row["state"] in ("active", "deactivated", "queued", "uploading") and row["upload_id"] is None
            if (row["state"] in ("active", "deactivated")) != (id in filled) or not settled:
                wrong.append(
                    f"{id} is {row['state']}, upload {row['upload_id']}, {'has' if id in filled else 'no'} bytes"
                )
        return wrong

    def assert_clean(self) -> None:
        """At rest nothing is left over, nothing is missing, and nothing is stuck."""
        assert eventually(lambda: not self.leftovers()), self.leftovers()


def at_once(*calls: Callable[[], T]) -> list[T]:
    """What the calls give, which all begin at the same moment."""
    barrier = threading.Barrier(len(calls))

    def one(call: Callable[[], T]) -> T:
        barrier.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(one, calls))


@contextmanager
def twins(
    database: Database, state: Path, stores: Mapping[str, Store] | None = None, **settings: Any
) -> Iterator[Twins]:
    """Two clouds on the same database and the same stores."""
    found = stores if stores is not None else {"files": FilesStore("files", state)}
    with ExitStack() as stack:
        clouds = [stack.enter_context(running(database, state, found, **settings)) for _ in range(2)]
        yield Twins(database, found, clouds)
