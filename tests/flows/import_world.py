"""What the tests of imports and copies share: two stores, staged images, what must be true at the end."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select

from moorage.core.caller import Caller
from moorage.database import Database
from moorage.database.migrate import upgrade
from moorage.drivers.stores.files import FilesStore, FileWriter
from moorage.flows.images.incoming.asking import Asked
from moorage.flows.images.incoming.copying import begin_copy
from moorage.flows.images.incoming.importing import begin_import
from moorage.flows.images.incoming.stage import Stage
from moorage.flows.images.locations.delete_location import begin_delete_location
from moorage.flows.registry import FLOWS
from moorage.flows.rooms import Rooms
from moorage.images.imports import staging, task
from moorage.images.imports.method import Method, Remote, Source
from moorage.images.records import digests, images, locations
from moorage.images.store import StoreFull, StoreUnavailable
from moorage.operations.process import Process
from moorage.operations.records import OPEN, operations
from moorage.operations.runner import Runner
from tests import schema
from tests.flows.image_world import ALICE, DATA, PIECES, new_image, rooms_on, upload
from tests.operations.crash import PATIENCE_S, Scene

ROOT = Caller("root", "project-r", roles=frozenset({"reader", "member", "admin"}))
STORES = ("one", "two")


class Fetched(Method):
    """Fetches `DATA` from nowhere."""

    name = "web-download"

    def check(self, caller: Caller, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"uri": asked["uri"]}

    def open(self, checked: Mapping[str, Any], size_limit: int, check: Callable[[], None]) -> Source:
        return Source(Remote(size=len(DATA)), iter(PIECES))


class FullStore(FilesStore):
    """Has no room for the last piece of anything."""

    def create(self, name: str, size: int | None) -> FileWriter:
        writer = super().create(name, size)
        write, taken = writer.write, 0

        def refuse(chunk: bytes) -> None:
            nonlocal taken
            taken += len(chunk)
            if taken == len(DATA):
                raise StoreFull(store=self.id)
            write(chunk)

        writer.write = refuse  # type: ignore[method-assign]
        return writer


class DeadStore(FilesStore):
    """Does not answer, whatever it is asked."""

    def create(self, name: str, size: int | None) -> FileWriter:
        raise StoreUnavailable(store=self.id, why="it is switched off")

    def delete(self, name: str) -> None:
        raise StoreUnavailable(store=self.id, why="it is switched off")


def import_rooms(database: Database, state: Path, second: type[FilesStore] = FilesStore) -> Rooms:
    """Rooms of a process that has not begun to work, with a store `one`, and a store `two` of the given kind."""
    rooms = rooms_on(database, state)
    rooms.stores = {"one": FilesStore("one", state / "one"), "two": second("two", state / "two")}
    rooms.default_store = "one"
    rooms.methods = {Fetched.name: Fetched()}
    return rooms


def asked(method: str = "glance-direct", must: bool = True, stores: tuple[str, ...] = STORES) -> Asked:
    return Asked(method, {"method": {"name": method}}, stores, all_must_succeed=must)


def stage(rooms: Rooms, id: str) -> None:
    """Stage `DATA`, as the API does."""
    staged = Stage(rooms, ALICE, id, SimpleNamespace(size=len(DATA), store=None, base=None))  # type: ignore[arg-type]
    staged.begin()
    for piece in PIECES:
        staged.take([piece])
        staged.check()
    staged.close()
    staged.record()


def staged_image(rooms: Rooms) -> str:
    """An image whose bytes are staged."""
    id = new_image(rooms.database)
    with alive(rooms):
        stage(rooms, id)
    return id


@contextmanager
def alive(rooms: Rooms) -> Iterator[None]:
    """Be a process that carries out operations of its requests."""
    runner = Runner(rooms.database, FLOWS, None, Process.this("up"), set())
    rooms.runner, rooms.process = runner, runner.me.id
    runner.start()
    try:
        yield
    finally:
        runner.stop()


def quiet(scene: Scene) -> None:
    """Have everything carried out that is still open, save what a store that does not answer keeps from its end."""
    runner = Runner(scene.database, scene.flows, scene.rooms, Process.this("up"), ("any",))
    runner.start()
    until = time.monotonic() + PATIENCE_S
    try:
        while open_operations(scene.database):
            assert time.monotonic() < until, open_operations(scene.database)
            time.sleep(0.01)
    finally:
        runner.stop()


def open_operations(database: Database) -> list[Mapping[str, Any]]:
    """What is under way and gets on."""
    c = operations.c
    with database.read() as tx:
        return [row for row in tx.all(select(operations).where(c.state.in_(OPEN))) if row["attempts"] < 3]


def world(scene: Scene, id: str) -> SimpleNamespace:
    """Everything that there is of an image."""
    with scene.database.read() as tx:
        row = tx.one(select(images).where(images.c.id == id))
        assert row is not None
        return SimpleNamespace(
            row=row,
            locations={place["store"]: place["object"] for place in location_rows(tx, id)},
            digests=tx.one(select(digests).where(digests.c.image_id == id)),
            staged=staging.of_image(tx, id),
            task=task.get(tx, row["import_id"]) if row["import_id"] else None,
            stores={one["store"]: one for one in task.stores_of(tx, [row["import_id"] or ""])},
            objects={
                store: {name for name in FilesStore(store, scene.rooms.state / store).names() if f"/{id}/" in name}
                for store in STORES
            },
            files=[name for name in scene.rooms.staging.names() if name.startswith(f"staging/{id}/")],
        )


def location_rows(tx: Any, id: str) -> Any:
    return tx.all(select(locations).where(locations.c.image_id == id))


def assert_whole(scene: Scene, id: str, stores: tuple[str, ...] = STORES) -> SimpleNamespace:
    """The image is active in exactly these stores, and nothing else is left."""
    it = world(scene, id)
    assert it.row["state"] == "active"
    assert set(it.locations) == set(stores)
    assert it.objects == {store: {it.locations[store]} if store in stores else set() for store in STORES}
    for store in stores:
        assert FilesStore(store, scene.rooms.state / store).path(it.locations[store]).read_bytes() == DATA
    assert it.row["checksum"] == hashlib.md5(DATA).hexdigest()
    assert (len(it.digests["digests"]), it.row["upload_id"], it.staged, it.files) == (32, None, [], [])
    return it


def assert_untouched(scene: Scene, id: str) -> SimpleNamespace:
    """The image is queued and nothing is left of the try but what is said of it."""
    it = world(scene, id)
    assert (it.row["state"], it.row["size"], it.row["checksum"], it.row["upload_id"]) == ("queued",) + (None,) * 3
    assert (it.locations, it.digests, it.staged, it.files) == ({}, None, [], [])
    assert it.objects == {store: set() for store in STORES}
    assert it.task["state"] == "failure"
    return it


def _scene(url: str, state: Path, begin: Callable[[Rooms], str], second: type[FilesStore] = FilesStore) -> Scene:
    schema.begin(url)
    database = Database(url)
    upgrade(database)
    rooms = import_rooms(database, state, second)

    def check(row: Any) -> None:
        quiet(scene)
        id = row["resource_id"]
        if row["kind"] == "copy-image":
            assert_whole(scene, id, STORES if row["state"] == "done" else ("one",))
        elif row["state"] == "done":
            assert_whole(scene, id)
            assert world(scene, id).task["state"] == "success"
        else:
            assert_untouched(scene, id)

    scene = Scene(database, FLOWS, rooms, lambda: begin(rooms), check)
    return scene


def importing(url: str, state: Path) -> Scene:
    """Staged bytes that are about to be imported into both stores."""
    return _scene(url, state, lambda rooms: begin_staged(rooms, staged_image(rooms)))


def importing_into_a_full_store(url: str, state: Path) -> Scene:
    """The same, but that the second store has no room."""
    return _scene(url, state, lambda rooms: begin_staged(rooms, staged_image(rooms)), FullStore)


def fetching(url: str, state: Path) -> Scene:
    """An image whose bytes are about to be fetched."""

    def begin(rooms: Rooms) -> str:
        id, wanted = new_image(rooms.database), asked("web-download")
        return rooms.database.transact(lambda tx: begin_import(tx, rooms, ALICE, id, wanted, {"uri": "http://x"}))

    return _scene(url, state, begin)


def copying(url: str, state: Path) -> Scene:
    """An image in the first store that is about to be copied to the second."""

    def begin(rooms: Rooms) -> str:
        id = filled_image(rooms)
        wanted = asked("copy-image", stores=("two",))
        operation = rooms.database.transact(lambda tx: begin_copy(tx, rooms, ROOT, id, wanted))
        assert operation is not None
        return operation

    return _scene(url, state, begin)


def leaving(url: str, state: Path) -> Scene:
    """An image in both stores that is about to leave the second."""
    schema.begin(url)
    database = Database(url)
    upgrade(database)
    rooms = import_rooms(database, state)

    def begin() -> str:
        id = staged_image(rooms)
        begin_staged(rooms, id)
        quiet(scene)
        operation = rooms.database.transact(lambda tx: begin_delete_location(tx, rooms, ROOT, "two", id))
        assert operation is not None
        return operation

    def check(row: Any) -> None:
        assert row["state"] == "done"
        assert_whole(scene, row["input"]["object"].split("/")[1], ("one",))

    scene = Scene(database, FLOWS, rooms, begin, check)
    return scene


def begin_staged(rooms: Rooms, id: str, must: bool = True) -> str:
    """The operation that imports what is staged into both stores."""
    return rooms.database.transact(lambda tx: begin_import(tx, rooms, ALICE, id, asked(must=must)))


def filled_image(rooms: Rooms) -> str:
    """An image in the first store."""
    id = new_image(rooms.database)
    with alive(rooms):
        upload(rooms, id)
    return id
