"""One Moorage for all tests of a module."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.host import Host


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    state = Path(tempfile.mkdtemp(prefix="moor-", dir="/tmp"))
    state.chmod(0o711)
    host = Host(state)
    yield host
    host.close()
    shutil.rmtree(state, ignore_errors=True)
