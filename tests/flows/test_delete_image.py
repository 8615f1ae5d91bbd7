"""Deleting an image, killed at every place and done twice."""

from pathlib import Path

import pytest

from moorage.flows.images.delete import DELETE_IMAGE
from tests.operations import crash

POINTS = [point for point in crash.points(DELETE_IMAGE, lines=(4, 9, 16)) if not point.back]


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_it_converges_whenever_it_is_killed(database_url: str, state_dir: Path, point: crash.Point) -> None:
    crash.converges("tests.flows.image_world:deleting", database_url, state_dir, point)


@pytest.mark.parametrize("point", POINTS[1:3], ids=str)
def test_bytes_that_volumes_need_stay_whenever_it_is_killed(
    database_url: str, state_dir: Path, point: crash.Point
) -> None:
    crash.converges("tests.flows.image_world:deleting_what_a_volume_needs", database_url, state_dir, point)


@pytest.mark.parametrize("scene", ["deleting", "deleting_what_a_volume_needs"])
def test_doing_it_twice_is_doing_it_once(database_url: str, state_dir: Path, scene: str) -> None:
    world = crash.build(f"tests.flows.image_world:{scene}", database_url, state_dir)
    world.flows = crash.twice(world.flows, DELETE_IMAGE.kind)
    world.check(crash.recover(world, world.begin()))
    world.database.close()
