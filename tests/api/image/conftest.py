"""A cloud that serves Image v2, on each of the two databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.database import Database
from tests.images.cloud import ImageCloud, running


@pytest.fixture
def cloud(database: Database, state_dir: Path) -> Iterator[ImageCloud]:
    with running(database, state_dir) as cloud:
        yield cloud
