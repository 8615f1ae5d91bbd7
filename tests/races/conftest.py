"""A scene on each database: one for each file of tests, cleared after each test; `fresh` for those that count."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import database_with_schema, state_directory
from tests.postgres import Server
from tests.races.scene import Scene, playing


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def stage(request: pytest.FixtureRequest, postgres_server: Server) -> Iterator[Scene]:
    with (
        state_directory() as state,
        database_with_schema(request.param, state, postgres_server) as url,
        playing(url, state, quota_volumes=-1) as scene,
    ):
        yield scene


@pytest.fixture
def scene(stage: Scene) -> Iterator[Scene]:
    yield stage
    stage.clear()


@pytest.fixture
def fresh(database_url: str, state_dir: Path) -> Iterator[Scene]:
    with playing(database_url, state_dir) as scene:
        yield scene
