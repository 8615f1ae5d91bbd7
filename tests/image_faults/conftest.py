"""Two clouds that serve the same images, on each of the two databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.database import Database
from tests.image_faults.twins import Twins, twins


@pytest.fixture
def cloud(database: Database, state_dir: Path) -> Iterator[Twins]:
    with twins(database, state_dir) as made:
        yield made
        made.assert_clean()
