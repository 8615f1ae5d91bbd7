"""Flows of copies: killed anywhere they converge, failing anywhere they unwind, twice is once."""

from pathlib import Path

import pytest

from moorage.flows.images.forgetting import forget
from moorage.flows.registry import FLOWS
from moorage.images.records import digests
from moorage.operations.records import State
from tests.flows import copy_scenes
from tests.flows.copy_scenes import SCENES
from tests.operations import crash
from tests.operations.crash import Point

LINES = (5, 25, 60, 150)
PLACES = [(kind, point) for kind in SCENES for point in crash.points(FLOWS[kind], LINES) if not point.back]
DOWNLOAD = [Point("fill", "line", line) for line in (30, 60, 90, 120, 200, 300)]


def _factory(name: str) -> str:
    return f"{copy_scenes.__name__}:{name}"


@crash.ON_ENGINES
@pytest.mark.parametrize(("kind", "point"), PLACES, ids=str)
def test_killed_anywhere_it_converges(database_url: str, state_dir: Path, kind: str, point: Point) -> None:
    row = crash.converges(_factory(SCENES[kind].__name__), database_url, state_dir, point)
    assert row["state"] == State.DONE


@crash.ON_ENGINES
@pytest.mark.parametrize("point", DOWNLOAD, ids=str)
def test_a_download_killed_anywhere_begins_again(database_url: str, state_dir: Path, point: Point) -> None:
    row = crash.converges(_factory("downloaded"), database_url, state_dir, point)
    assert row["state"] == State.DONE


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(("kind", "step"), [(kind, step.name) for kind in SCENES for step in FLOWS[kind].steps])
def test_a_step_that_fails_unwinds(state_dir: Path, kind: str, step: str, before: bool) -> None:
    scene = crash.build(_factory(SCENES[kind].__name__), f"sqlite:///{state_dir}/moorage.db", state_dir)
    id = scene.begin()
    scene.flows = crash.failing(scene.flows, kind, step, before=before)
    row = crash.recover(scene, id)
    assert (row["state"], row["error_code"]) == (State.UNDONE, "test.broken")
    scene.check(row)


@pytest.mark.parametrize("kind", sorted(SCENES))
def test_everything_done_twice_is_done_once(state_dir: Path, kind: str) -> None:
    scene = crash.build(_factory(SCENES[kind].__name__), f"sqlite:///{state_dir}/moorage.db", state_dir)
    id = scene.begin()
    scene.flows = crash.twice(scene.flows, kind)
    row = crash.recover(scene, id)
    assert row["state"] == State.DONE
    scene.check(row)


@pytest.mark.parametrize("scene", ["hydrated", "downloaded"])
def test_digests_of_a_deleted_image_stay_while_a_copy_may_need_them(
    database_url: str, state_dir: Path, scene: str
) -> None:
    built = crash.build(_factory(scene), database_url, state_dir)
    id = built.begin()
    with built.database.write() as tx:
        assert forget(tx, tx.now, 10) == 0
        assert bool(tx.all(digests.select())) == (scene == "hydrated")
    built.check(crash.recover(built, id))  # by which the volume goes, too
    with built.database.write() as tx:
        assert forget(tx, tx.now, 10) == 1
        assert (tx.all(digests.select()), forget(tx, tx.now, 10)) == ([], 0)
    built.database.close()
