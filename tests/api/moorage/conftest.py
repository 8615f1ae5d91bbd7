"""One cloud for all tests of a module, on each database."""

from collections.abc import Iterator

import pytest

from tests import postgres
from tests.cloud import Cloud, running
from tests.conftest import state_directory


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def cloud(request: pytest.FixtureRequest, postgres_server: postgres.Server) -> Iterator[Cloud]:
    with state_directory() as state:
        if request.param == "sqlite":
            with running(state) as cloud:
                yield cloud
        else:
            with postgres_server.database() as url, running(state, url) as cloud:
                yield cloud
