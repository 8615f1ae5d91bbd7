"""One whole Moorage for all stories of a module, with everything that a user's day needs."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud import Cloud, running


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    state = Path(tempfile.mkdtemp(prefix="moor-", dir="/tmp"))
    state.chmod(0o711)
    with running(state) as cloud:
        yield cloud
    shutil.rmtree(state, ignore_errors=True)
