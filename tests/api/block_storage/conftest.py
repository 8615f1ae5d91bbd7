"""A rig on each database; `fast` on SQLite only, for tables of refusals that no database decides on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.volumes.rig import Rig, running


@pytest.fixture
def rig(database_url: str, state_dir: Path) -> Iterator[Rig]:
    with running(database_url, state_dir) as rig:
        yield rig


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    path = tmp_path_factory.mktemp("rig")
    with running(f"sqlite:///{path}/moorage.db", path) as rig:
        yield rig
