"""A flow that is killed anywhere converges without help; one that fails unwinds; one that is stopped is succeeded."""

import contextlib
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from moorage.operations import journal
from moorage.operations.flow import Flow
from moorage.operations.records import State
from tests.operations import crash, toys
from tests.operations.crash import Point

POINTS = crash.points(toys.MAKE, lines=(1, 3))
SAMPLE = [Point("write", "line", 3), Point("record", "done"), Point("", "settle"), Point("write", "line", 1, back=True)]
POINTS += [
    Point(step, place, back=True, fail=fail)
    for step, fail in (("reserve", "reserve"), ("write", "write"), ("reserve", "write"))
    for place in ("before", "done")
]
SCENE = "tests.operations.toys:scene"


@crash.ON_ENGINES
@pytest.mark.parametrize("point", POINTS, ids=str)
def test_killed_anywhere_it_converges(database_url: str, state_dir: Path, point: Point) -> None:
    row = crash.converges(SCENE, database_url, state_dir, point)
    assert row["state"] == (State.UNDONE if turned(point) else State.DONE)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("point", SAMPLE, ids=str)
def test_killed_at_a_sample_of_places_it_converges_on_postgresql(
    database_url: str, state_dir: Path, point: Point
) -> None:
    crash.converges(SCENE, database_url, state_dir, point)


def turned(point: Point) -> bool:
    """Whether the flow had been turned back, durably, when it was killed."""
    return point.back and point.place != "settle"


def test_the_tool_kills_where_it_says(state_dir: Path) -> None:
    url = f"sqlite:///{state_dir}/moorage.db"
    scene = crash.build(SCENE, url, state_dir)
    id = scene.begin()
    assert crash.run_and_die(SCENE, url, state_dir, id, Point("write", "line", 5)) == -signal.SIGKILL
    assert [path.read_bytes() for path in scene.rooms.iterdir()] == [b"some"] or len(list(scene.rooms.iterdir())) == 1
    with scene.database.read() as tx:
        row = journal.get(tx, id)
    assert row is not None and row["state"] == State.RUNNING and row["step"] == 1


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("step", crash.steps_of(toys.MAKE))
def test_a_step_that_fails_is_undone_with_all_before_it(
    database_url: str, state_dir: Path, step: str, before: bool
) -> None:
    scene = crash.build(SCENE, database_url, state_dir)
    scene.flows = crash.failing(scene.flows, toys.MAKE.kind, step, before=before)
    row = crash.recover(scene, scene.begin())
    assert (row["state"], row["error_code"]) == (State.UNDONE, "test.broken")
    scene.check(row)


@pytest.mark.parametrize("fail", ["record", None])
def test_everything_done_twice_is_done_once(database_url: str, state_dir: Path, fail: str | None) -> None:
    scene = crash.build(SCENE, database_url, state_dir)
    scene.flows = crash.twice(scene.flows, toys.MAKE.kind)
    if fail:
        scene.flows = crash.failing(scene.flows, toys.MAKE.kind, fail)
    row = crash.recover(scene, scene.begin())
    assert row["state"] == (State.UNDONE if fail else State.DONE)
    scene.check(row)


@pytest.mark.parametrize("line", [2, 4, 5])
def test_an_owner_stopped_inside_a_side_effect_is_killed_by_its_successor(
    database_url: str, state_dir: Path, line: int
) -> None:
    factory = "tests.operations.toys:host_scene"
    scene = crash.build(factory, database_url, state_dir)
    id = scene.begin()
    owner = crash.started(factory, database_url, state_dir, id, Point("write", "line", line, deadly=signal.SIGSTOP))
    crash.wait_stopped(owner.pid)
    row = crash.recover(scene, id)
    owner.join(60)
    assert owner.exitcode == -signal.SIGKILL
    assert row["state"] == State.DONE and row["epoch"] == 2
    scene.check(row)


@pytest.mark.parametrize(
    "point",
    [
        Point("reserve", "before"),
        Point("reserve", "done"),
        Point("write", "done"),
        Point("record", "before"),
        Point("record", "done"),
    ],
    ids=str,
)
def test_an_owner_stopped_elsewhere_and_woken_after_takeover_changes_nothing(
    database_url: str, state_dir: Path, point: Point
) -> None:
    factory = "tests.operations.toys:brief_scene"
    scene = crash.build(factory, database_url, state_dir)
    id = scene.begin()
    owner = crash.started(factory, database_url, state_dir, id, replace(point, deadly=signal.SIGSTOP))
    crash.wait_stopped(owner.pid)
    crash.lapse(scene.database)
    row = crash.recover(scene, id)
    scene.check(row)
    with scene.database.read() as tx:
        before = tx.all(select(toys.things))
    with contextlib.suppress(ProcessLookupError):  # killed: its heartbeat had the database's lock when it was stopped
        os.kill(owner.pid, signal.SIGCONT)
    owner.join(60)
    assert owner.exitcode in (0, -signal.SIGKILL)
    with scene.database.read() as tx:
        assert tx.all(select(toys.things)) == before and journal.get(tx, id) == row
    scene.check(row)


def test_points_cover_every_step_both_ways() -> None:
    flow: Flow = toys.MAKE
    covered = {(point.step, point.back) for point in POINTS}
    assert {(step.name, back) for step in flow.steps for back in (False, True)} <= covered
