"""A cloud in which things are made to go wrong, for each test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.drift import Drift, drifting


@pytest.fixture
def drift(state_dir: Path) -> Iterator[Drift]:
    with drifting(state_dir) as drift:
        yield drift
