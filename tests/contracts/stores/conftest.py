"""What the remote stores are tested against."""

import secrets

import pytest

from moorage.drivers.stores.swift.settings import SwiftSettings
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


@pytest.fixture
def swift_settings(gateway, tmp_path):
    """A store in a container of its own, whose objects consist of segments from 1 MiB on."""
    (tmp_path / "key").write_text(gateway.swift_key)
    return SwiftSettings(
        auth_url=gateway.auth_v1,
        auth_version="1",
        user=gateway.swift_user,
        key_file=str(tmp_path / "key"),
        container="c-" + secrets.token_hex(8),
        segment_size=1,
    )
