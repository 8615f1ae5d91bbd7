"""One whole Moorage for all stories of a module, with everything that a user's day needs."""

from collections.abc import Iterator

import pytest

from tests.cloud import Cloud, running
from tests.conftest import state_directory


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with state_directory() as state, running(state) as cloud:
        yield cloud
