"""A rig on each database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.volumes.rig import Rig, running


@pytest.fixture
def rig(database_url: str, state_dir: Path) -> Iterator[Rig]:
    with running(database_url, state_dir) as rig:
        yield rig
