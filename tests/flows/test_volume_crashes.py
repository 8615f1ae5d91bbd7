"""Every flow of volumes, on real files: killed anywhere it converges, failing anywhere it unwinds, twice is once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from moorage.flows.registry import FLOWS
from moorage.operations.records import State
from tests.flows import image_volume_scenes, upload_scenes, volume_scenes
from tests.operations import crash
from tests.operations.crash import Point, Scene

SCENES = {
    "create-volume": volume_scenes.create,
    "delete-volume": volume_scenes.delete,
    "extend-volume": volume_scenes.extend,
    "freeze-volume": volume_scenes.freeze,
    "volume-from-volume": volume_scenes.copy,
    "volume-from-image": volume_scenes.from_image,
    "volume-from-image-volume": image_volume_scenes.from_image_volume,
    "volume-from-conversion": volume_scenes.from_foreign_image,
    "publish-attachment": volume_scenes.publish,
    "queue-attachment": volume_scenes.wait_in_queue,
    "withdraw-attachment": volume_scenes.withdraw,
    "image-from-volume": upload_scenes.show,
    "copy-volume-to-image": upload_scenes.copy,
}
ELSEWHERE = {  # test_reconcile.py, test_copy_crashes.py, test_image_from_volume_in_volumes.py
    *("mend-volume", "volume-from-copy", "volume-from-download", "image-from-volume-clone")
}
LINES = (3, 9, 20, 40, 80)


def points(kind: str, lines: tuple[int, ...] = LINES) -> list[Point]:
    """Where a flow is killed; on the way back, it was turned back by the last step at which that can happen."""
    turning = [step.name for step in FLOWS[kind].steps if not step.forward_only]
    found = crash.points(FLOWS[kind], lines)
    return [replace(point, fail=turning[-1]) if point.back and turning else point for point in found]


LONG = {"image-from-volume": (9, 40), "copy-volume-to-image": (9, 40)}  #: flows whose scenes take their time
PLACES = [(kind, point) for kind in SCENES for point in points(kind, LONG.get(kind, LINES))]
SAMPLE = [(kind, Point(FLOWS[kind].steps[-1].name, "line", 20)) for kind in SCENES]


def _factory(kind: str) -> str:
    return f"{SCENES[kind].__module__}:{SCENES[kind].__name__}"


@crash.ON_ENGINES
@pytest.mark.parametrize(("kind", "point"), PLACES, ids=str)
def test_killed_anywhere_it_converges(database_url: str, state_dir: Path, kind: str, point: Point) -> None:
    if point.back and all(step.forward_only for step in FLOWS[kind].steps):
        pytest.skip("it is never turned back")
    row = crash.converges(_factory(kind), database_url, state_dir, point)
    assert row["state"] == State.DONE or point.back


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("kind", "point"), SAMPLE, ids=str)
def test_killed_inside_its_last_step_it_converges_on_postgresql(
    database_url: str, state_dir: Path, kind: str, point: Point
) -> None:
    crash.converges(_factory(kind), database_url, state_dir, point)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    ("kind", "step"), [(kind, step.name) for kind in SCENES for step in FLOWS[kind].steps if not step.forward_only]
)
def test_a_step_that_fails_unwinds(state_dir: Path, kind: str, step: str, before: bool) -> None:
    scene = crash.build(_factory(kind), f"sqlite:///{state_dir}/moorage.db", state_dir)
    id = scene.begin()
    scene.flows = crash.failing(scene.flows, kind, step, before=before)
    row = crash.recover(scene, id)
    assert (row["state"], row["error_code"]) == (State.UNDONE, "test.broken")
    scene.check(row)


@pytest.mark.parametrize("fails", [False, True], ids=["done", "undone"])
@pytest.mark.parametrize("kind", sorted(SCENES))
def test_everything_done_twice_is_done_once(state_dir: Path, kind: str, fails: bool) -> None:
    last = FLOWS[kind].steps[-1]
    if fails and last.forward_only:
        pytest.skip("it is never turned back")
    scene = crash.build(_factory(kind), f"sqlite:///{state_dir}/moorage.db", state_dir)
    id = scene.begin()
    scene.flows = crash.twice(scene.flows, kind)
    if fails:
        scene.flows = crash.failing(scene.flows, kind, last.name)
    row = crash.recover(scene, id)
    assert row["state"] == (State.UNDONE if fails else State.DONE)
    scene.check(row)


LETTING_GO = [p for p in points("volume-from-conversion", (9, 20, 40)) if p.step == "release" or p.back]


@crash.ON_ENGINES
@pytest.mark.parametrize("point", LETTING_GO, ids=str)
def test_a_conversion_killed_anywhere_takes_the_bytes_of_a_deleted_image_along(
    database_url: str, state_dir: Path, point: Point
) -> None:
    factory = f"{volume_scenes.__name__}:{volume_scenes.from_deleted_image.__name__}"
    row = crash.converges(factory, database_url, state_dir, point)
    assert row["state"] == State.DONE or point.back


@crash.ON_ENGINES
@pytest.mark.parametrize("point", points("freeze-volume", (3, 9, 20, 40, 60, 80, 100)), ids=str)
def test_a_volume_in_use_whose_freezing_is_killed_anywhere_is_frozen_or_as_before(
    database_url: str, state_dir: Path, point: Point
) -> None:
    factory = f"{volume_scenes.__name__}:{volume_scenes.freeze_in_use.__name__}"
    row = crash.converges(factory, database_url, state_dir, point)
    assert row["state"] == State.DONE or point.back


@pytest.mark.parametrize("step", ["layer", "twice"])
def test_a_volume_in_use_is_frozen_once_or_not_at_all(state_dir: Path, step: str) -> None:
    factory = f"{volume_scenes.__name__}:{volume_scenes.freeze_in_use.__name__}"
    scene = crash.build(factory, f"sqlite:///{state_dir}/moorage.db", state_dir)
    id = scene.begin()
    change = crash.twice if step == "twice" else lambda flows, kind: crash.failing(flows, kind, step)
    scene.flows = change(scene.flows, "freeze-volume")
    scene.check(crash.recover(scene, id))


@crash.ON_ENGINES
@pytest.mark.parametrize("scene", [upload_scenes.link, upload_scenes.pin], ids=lambda scene: scene.__name__)
@pytest.mark.parametrize("point", points("image-from-volume", (12,)), ids=str)
def test_an_upload_killed_anywhere_leaves_an_image_or_nothing(
    database_url: str, state_dir: Path, scene: Callable[..., Scene], point: Point
) -> None:
    row = crash.converges(f"{scene.__module__}:{scene.__name__}", database_url, state_dir, point)
    assert row["state"] == State.DONE or point.back


@crash.ON_ENGINES
@pytest.mark.parametrize("point", points("copy-volume-to-image", (12,)), ids=str)
def test_a_copy_of_what_was_pinned_leaves_no_pin_when_it_is_killed_anywhere(
    database_url: str, state_dir: Path, point: Point
) -> None:
    factory = f"{upload_scenes.__name__}:{upload_scenes.copy_pinned.__name__}"
    row = crash.converges(factory, database_url, state_dir, point)
    assert row["state"] == State.DONE or point.back


def test_every_flow_of_volumes_has_its_scene() -> None:
    known = {kind for kind in FLOWS.kinds if "volume" in kind or "attachment" in kind}
    assert known - set(SCENES) - ELSEWHERE == set()
