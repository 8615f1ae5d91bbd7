"""Imports and copies killed at every place, failed at each step, done twice: all or nothing, and nothing stuck."""

from pathlib import Path

import pytest

from moorage.database import Database
from moorage.flows.images.incoming.copying import COPY_IMAGE, begin_copy
from moorage.flows.images.incoming.importing import IMPORT_IMAGE
from moorage.flows.images.locations.delete_location import DELETE_LOCATION
from moorage.images.store import StoreUnavailable, Trouble
from moorage.operations import journal
from tests.flows import import_world
from tests.flows.import_world import (
    DeadStore,
    FullStore,
    assert_untouched,
    assert_whole,
    begin_staged,
    import_rooms,
    quiet,
    staged_image,
    world,
)
from tests.operations import crash
from tests.operations.crash import Point, Scene

WORLD = "tests.flows.import_world"

POINTS = [
    *(("importing", point) for point in crash.points(IMPORT_IMAGE, lines=(9, 30))),
    *(("fetching", Point("obtain", "line", line)) for line in (9, 22)),
    ("fetching", Point("obtain", "done")),
    *(("copying", point) for point in crash.points(COPY_IMAGE, lines=(12, 45))),
    *(("leaving", point) for point in crash.points(DELETE_LOCATION, lines=(3,)) if not point.back),
]
SAMPLE = [
    ("importing", Point("store", "line", 30)),
    ("importing", Point("store", "done")),
    ("importing", Point("", "settle")),
    ("importing", Point("store", "done", back=True)),
    ("fetching", Point("obtain", "line", 15)),
    ("copying", Point("copy", "done")),
    ("leaving", Point("remove", "line", 3)),
]


def _name(value: object) -> str:
    return str(value)


@crash.ON_ENGINES
@pytest.mark.parametrize(("scene", "point"), POINTS, ids=_name)
def test_it_converges_whenever_it_is_killed(database_url: str, state_dir: Path, scene: str, point: Point) -> None:
    crash.converges(f"{WORLD}:{scene}", database_url, state_dir, point)


@pytest.mark.parametrize(("scene", "point"), SAMPLE, ids=_name)
def test_so_it_does_on_both_databases(database_url: str, state_dir: Path, scene: str, point: Point) -> None:
    crash.converges(f"{WORLD}:{scene}", database_url, state_dir, point)


@pytest.mark.parametrize("scene", ["importing", "fetching", "copying", "leaving"])
def test_doing_it_twice_is_doing_it_once(database_url: str, state_dir: Path, scene: str) -> None:
    world = crash.build(f"{WORLD}:{scene}", database_url, state_dir)
    kind = {"copying": "copy-image", "leaving": "delete-location"}.get(scene, "import-image")
    world.flows = crash.twice(world.flows, kind)
    row = crash.recover(world, world.begin())
    assert row["state"] == "done"
    world.check(row)
    world.database.close()


@pytest.mark.parametrize("step", [step.name for step in IMPORT_IMAGE.steps])
@pytest.mark.parametrize("before", [False, True])
def test_an_import_that_fails_leaves_nothing_behind(state_dir: Path, step: str, before: bool) -> None:
    scene = crash.build(f"{WORLD}:importing", f"sqlite:///{state_dir}/moorage.db", state_dir)
    scene.flows = crash.failing(scene.flows, IMPORT_IMAGE.kind, step, before=before)
    row = crash.recover(scene, scene.begin())
    assert row["state"] == "undone"
    scene.check(row)
    it = world(scene, row["resource_id"])
    assert {one["state"] for one in it.stores.values()} == {"failed"}
    assert {one["reason"] for one in it.stores.values()} == {"This step was made to fail."}
    scene.database.close()


def scene_with(database: Database, state: Path, second: type) -> Scene:
    from moorage.flows.registry import FLOWS

    rooms = import_rooms(database, state, second)
    return Scene(database, FLOWS, rooms, lambda: "", lambda row: None)


def carried_out(scene: Scene, must: bool) -> str:
    """An image whose staged bytes were imported into both stores; its id."""
    id = staged_image(scene.rooms)
    crash.recover(scene, begin_staged(scene.rooms, id, must))
    quiet(scene)
    return id


def test_a_full_store_ends_an_import_that_all_must_take(database: Database, state_dir: Path) -> None:
    """Image reference I1: an import that fails is a listed end state, and can be tried again."""
    scene = scene_with(database, state_dir, FullStore)
    id = carried_out(scene, must=True)
    it = assert_untouched(scene, id)
    assert {store: row["state"] for store, row in it.stores.items()} == {"one": "dropped", "two": "failed"}
    assert it.stores["two"]["reason"] == it.task["message"] == "The store two has no room for the image."
    scene.rooms = import_rooms(database, state_dir)
    with import_world.alive(scene.rooms):
        import_world.stage(scene.rooms, id)
    crash.recover(scene, begin_staged(scene.rooms, id))
    quiet(scene)
    assert_whole(scene, id)


def test_a_full_store_is_left_out_where_others_suffice(database: Database, state_dir: Path) -> None:
    scene = scene_with(database, state_dir, FullStore)
    it = assert_whole(scene, carried_out(scene, must=False), ("one",))
    assert it.task["state"] == "success"
    assert {store: row["state"] for store, row in it.stores.items()} == {"one": "done", "two": "failed"}
    assert it.stores["two"]["reason"] == "The store two has no room for the image."


def test_a_store_that_does_not_answer_holds_nobody_up(database: Database, state_dir: Path) -> None:
    """What is to be cleared away there waits for it; the image does not."""
    scene = scene_with(database, state_dir, DeadStore)
    id = carried_out(scene, must=True)
    it = assert_untouched(scene, id)
    assert it.stores["two"]["reason"] == "The store two does not answer: it is switched off."
    with database.read() as tx:
        assert journal.open_on(tx, "image", [id]) == []
    left_out = carried_out(scene, must=False)
    assert assert_whole(scene, left_out, ("one",)).stores["two"]["state"] == "failed"
    scene.rooms = import_rooms(database, state_dir)
    with database.write() as tx:
        tx.run(journal.operations.update().values(not_before=0, attempts=0))
    quiet(scene)


@pytest.mark.parametrize("must", [True, False])
def test_a_store_that_is_known_to_be_down_is_refused_before_anything_begins(
    database: Database, state_dir: Path, must: bool
) -> None:
    scene = scene_with(database, state_dir, DeadStore)
    staged, filled = staged_image(scene.rooms), import_world.filled_image(scene.rooms)
    scene.rooms.stores["two"].trouble = lambda: Trouble("it is switched off", 0)  # type: ignore[method-assign]
    before = world(scene, staged).row
    copied = import_world.asked("copy-image", must, ("two",))
    with pytest.raises(StoreUnavailable, match=r"The store two does not answer: it is switched off \(since 1970"):
        database.transact(lambda tx: begin_copy(tx, scene.rooms, import_world.ROOT, filled, copied))
    if must:
        with pytest.raises(StoreUnavailable, match="The store two does not answer"):
            begin_staged(scene.rooms, staged)
        assert (world(scene, staged).row, world(scene, staged).task) == (before, None)
        with database.read() as tx:
            assert journal.open_on(tx, "image", [staged, filled]) == []
    else:
        crash.recover(scene, begin_staged(scene.rooms, staged, must))
        assert_whole(scene, staged, ("one",))


def test_when_no_store_takes_it_all_have_failed(database: Database, state_dir: Path) -> None:
    scene = scene_with(database, state_dir, FullStore)
    scene.rooms.stores = {"one": FullStore("one", state_dir / "one"), **{"two": scene.rooms.stores["two"]}}
    it = assert_untouched(scene, carried_out(scene, must=False))
    assert {row["state"] for row in it.stores.values()} == {"failed"}


def test_content_that_is_refused_is_refused_by_all(database: Database, state_dir: Path) -> None:
    scene = scene_with(database, state_dir, import_world.FilesStore)
    id = staged_image(scene.rooms)
    operation = begin_staged(scene.rooms, id)
    with database.write() as tx:
        row = journal.get(tx, operation)
        assert row is not None
        tx.change(journal.operations, operation, {"input": {**row["input"], "disk_format": "qcow2"}})
    crash.recover(scene, operation)
    quiet(scene)
    it = assert_untouched(scene, id)
    assert "declared qcow2 and its content is raw" in it.task["message"]
    assert {row["reason"] for row in it.stores.values()} == {it.task["message"]}


def test_a_late_owner_leaves_nothing(database: Database, state_dir: Path) -> None:
    """Image reference I14: an owner that was succeeded inside the step writes nothing that stays."""
    scene = scene_with(database, state_dir, import_world.FilesStore)
    id = staged_image(scene.rooms)
    operation = begin_staged(scene.rooms, id)
    created = scene.rooms.stores["two"].create

    def taken_over(name: str, size: int | None) -> object:
        with database.write() as tx:
            tx.run(journal.operations.update().values(epoch=journal.operations.c.epoch + 1, owner="somebody"))
        return created(name, size)

    scene.rooms.stores["two"].create = taken_over  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match="got stuck"):
        crash.recover(scene, operation, patience_s=2.0)
    assert world(scene, id).objects == {"one": set(), "two": set()}
    scene.rooms.stores["two"].create = created  # type: ignore[method-assign]
    with database.write() as tx:
        tx.run(journal.operations.update().values(lease_until=0))
    crash.recover(scene, operation)
    quiet(scene)
    assert_whole(scene, id)


def test_deleting_the_image_cancels_its_import(database: Database, state_dir: Path) -> None:
    from moorage.flows.images.delete import begin_delete

    scene = scene_with(database, state_dir, import_world.FilesStore)
    id = staged_image(scene.rooms)
    operation = begin_staged(scene.rooms, id)
    created, delete = scene.rooms.stores["two"].create, []

    def deleted_meanwhile(name: str, size: int | None) -> object:
        delete.append(database.transact(lambda tx: begin_delete(tx, import_world.ALICE, id)))
        return created(name, size)

    scene.rooms.stores["two"].create = deleted_meanwhile  # type: ignore[method-assign]
    row = crash.recover(scene, operation)
    assert (row["state"], row["error_code"]) == ("undone", "operation.cancelled")
    quiet(scene)
    it = world(scene, id)
    assert (it.row["state"], it.objects, it.staged, it.files) == ("deleted", {"one": set(), "two": set()}, [], [])
    with database.read() as tx:
        assert journal.get(tx, delete[0])["state"] == "done"  # type: ignore[index]
