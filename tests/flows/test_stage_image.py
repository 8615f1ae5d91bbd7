"""Staged bytes whose process is killed, or that nobody names: all of them are there and counted, or none."""

import multiprocessing
import os
import signal
import sys
from pathlib import Path

import pytest

from moorage.database import Database
from moorage.flows.images.clear import STAGING, begin_clear
from moorage.flows.images.locations.delete_location import begin_delete_location
from moorage.flows.reconciliation.bytes import object_drift, staged_drift
from moorage.flows.reconciliation.reconcile import repair, survey
from moorage.flows.registry import FLOWS
from moorage.images import allowance
from moorage.images.locations import location
from moorage.volumes.backend import Format, Layer
from moorage.volumes.layers import enter
from tests.flows.image_world import DATA, Dying, new_image
from tests.flows.import_world import (
    ROOT,
    alive,
    assert_whole,
    begin_staged,
    import_rooms,
    quiet,
    stage,
    staged_image,
    world,
)
from tests.operations import crash
from tests.operations.crash import PATIENCE_S, Scene

PLACES = 60 if "MOORAGE_CHAOS" in os.environ else 4
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.flows.import_world"])


def stage_and_die(url: str, state: Path, id: str, line: int) -> None:
    """What a process does that is killed at the n-th line of staging."""
    rooms = import_rooms(Database(url), state)
    with alive(rooms):
        sys.settrace(Dying(line))
        stage(rooms, id)
        os._exit(0)


def scene_of(database: Database, state: Path) -> Scene:
    return Scene(database, FLOWS, import_rooms(database, state), lambda: "", lambda row: None)


def lines_of_a_stage(scene: Scene) -> int:
    id, counting = new_image(scene.database), Dying(0)
    with alive(scene.rooms):
        sys.settrace(counting)
        stage(scene.rooms, id)
        sys.settrace(None)
    return counting.seen


@pytest.mark.timeout(1800)  # a process for each place
def test_killed_anywhere_it_leaves_all_or_nothing(database: Database, state_dir: Path) -> None:
    scene = scene_of(database, state_dir)
    url, total = database.engine.url.render_as_string(hide_password=False), lines_of_a_stage(scene)
    places = sorted({*range(1, total, max(1, total // PLACES)), *range(total - 30, total + 1, 15)})
    ids = [new_image(database) for _ in places]
    for id, line in zip(ids, places, strict=True):
        process = _context.Process(target=stage_and_die, args=(url, state_dir, id, line), daemon=True)
        process.start()
        process.join(PATIENCE_S)
        assert process.exitcode in (0, -signal.SIGKILL)
    quiet(scene)
    for id in ids:
        it = world(scene, id)
        if it.row["state"] == "queued":
            assert (it.row["size"], it.row["upload_id"], it.staged, it.files) == (None, None, [], [])
        else:
            assert (it.row["state"], it.row["size"]) == ("uploading", len(DATA))
            assert [(row["state"], row["size"]) for row in it.staged] == [("waiting", len(DATA))]
            crash.recover(scene, begin_staged(scene.rooms, id))
            quiet(scene)
            assert_whole(scene, id)


def test_what_is_staged_is_counted(database: Database, state_dir: Path) -> None:
    scene = scene_of(database, state_dir)
    staged_image(scene.rooms)
    staged_image(scene.rooms)
    with database.read() as tx:
        assert allowance.usage(tx, "project-a")["image_stage_total"] == 2 * len(DATA)
        assert allowance.usage(tx, "project-b")["image_stage_total"] == 0


def test_staged_bytes_without_a_row_are_found_and_removed(database: Database, state_dir: Path) -> None:
    scene = scene_of(database, state_dir)
    id, area = staged_image(scene.rooms), scene.rooms.staging
    assert area is not None
    (wanted,) = world(scene, id).files
    orphan = f"staging/{id}/11111111-2222-4333-8444-555555555555-1"
    writer = area.create(orphan, 1)
    writer.write(b"x")
    writer.commit()
    scene.rooms.stores = {"files": area}  # a store in the same directory sees them and leaves them alone
    assert list(object_drift(scene.rooms)) == []
    (finding,) = staged_drift(scene.rooms)
    assert (finding.kind, finding.facts["object"]) == ("object-orphan", orphan)
    assert finding in survey(scene.rooms)
    repair(scene.rooms, finding)
    assert world(scene, id).files == [wanted]
    assert list(staged_drift(scene.rooms)) == []


def test_bytes_that_are_being_cleared_away_are_nobodys_business(database: Database, state_dir: Path) -> None:
    scene = scene_of(database, state_dir)
    store = scene.rooms.stores["one"]
    name = "images/x/11111111-2222-4333-8444-555555555555-1"
    writer = store.create(name, 1)
    writer.commit()
    assert [finding.facts["object"] for finding in object_drift(scene.rooms)] == [name]
    database.transact(lambda tx: begin_clear(tx, "one", name, None))
    assert list(object_drift(scene.rooms)) == []
    quiet(scene)
    assert store.names() == frozenset()
    assert STAGING not in scene.rooms.stores


def test_bytes_that_volumes_lie_on_stay_in_a_store_that_is_left(database: Database, state_dir: Path) -> None:
    scene = scene_of(database, state_dir)
    id = staged_image(scene.rooms)
    crash.recover(scene, begin_staged(scene.rooms, id))
    quiet(scene)
    places = world(scene, id).locations
    below = Layer(places["two"], Format.RAW, len(DATA), None)
    with database.write() as tx:
        enter(tx, below, "files", image_id=id, store="two")
        enter(tx, Layer("volumes/v/1", Format.QCOW2, len(DATA), below), "files")
    assert database.transact(lambda tx: begin_delete_location(tx, scene.rooms, ROOT, "two", id)) is None
    it = world(scene, id)
    assert it.objects == {store: {places[store]} for store in ("one", "two")}
    with database.read() as tx:
        assert [row["store"] for row in location.held(tx, id)] == ["one"]
