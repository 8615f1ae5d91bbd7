"""One Moorage for all tests of a module."""

from collections.abc import Iterator

import pytest

from tests.cli.host import Host
from tests.conftest import state_directory


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with state_directory() as state:
        host = Host(state)
        yield host
        host.close()
