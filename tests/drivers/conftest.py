"""A data plane that is gone after the test, whatever the test did to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drivers.plane import Plane


@pytest.fixture
def plane(state_dir: Path) -> Iterator[Plane]:
    made = Plane(state_dir)
    yield made
    backend = made.again()
    for volume in backend.survey():
        backend.clear(volume)
