"""A scene on each database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.races.scene import Scene, playing


@pytest.fixture
def scene(database_url: str, state_dir: Path) -> Iterator[Scene]:
    with playing(database_url, state_dir) as scene:
        yield scene
