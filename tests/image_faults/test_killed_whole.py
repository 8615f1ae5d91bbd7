"""Moorage is killed while it is busy with images in every way; all that is deleted then has left nothing behind."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.place import Place
from tests.image_faults.busy import Busy, Site, empty
from tests.server import clear, down

pytestmark = pytest.mark.slow

KILLS = 12 if "MOORAGE_CHAOS" in os.environ else 1


@pytest.fixture
def busy(state_dir: Path, database_url: str) -> Iterator[Busy]:
    site = Site()
    busy = Busy(state_dir, database_url, site)
    yield busy
    busy.up.kill()
    down(state_dir, MOORAGE_DATABASE=database_url)
    site.close()
    clear(Place(state_dir))


@pytest.mark.timeout(1800)
def test_nothing_is_left_of_what_was_killed(busy: Busy) -> None:
    chance = random.Random(busy.url.partition(":")[0])
    before = busy.files()
    assert busy.rows() == {}
    for _ in range(KILLS):
        busy.kill_in_the_middle(chance.uniform(0.1, 1.5))
        busy.started()
    empty(busy.stuck, 600)  # each round may leave a GiB to hash
    images = busy.call("GET", "/image/v2/images?limit=1000")["images"]
    assert {image["status"] for image in images} <= {"queued", "active", "uploading"}
    busy.delete_everything()
    empty(busy.stuck)
    empty(busy.rows)
    assert busy.files() == before
    assert busy.processes() == {}
