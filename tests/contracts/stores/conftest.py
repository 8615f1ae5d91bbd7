"""What the remote stores are tested against."""

import pytest

from tests import radosgw
from tests.conftest import run_directory
from tests.ports import free_port as find_free_port


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    """The run's gateway of S3 and Swift; started when the first test asks for it."""
    return radosgw.Cluster(run_directory(tmp_path_factory)).gateway()


@pytest.fixture
def free_port():
    """A port of 127.0.0.1 that nobody listens on."""
    return find_free_port()
