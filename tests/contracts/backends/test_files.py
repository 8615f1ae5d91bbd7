"""The files backend keeps the contract, with real daemons and real clients."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.drivers.backends.files import FilesBackend
from tests.contracts.backends.contract import BackendContract


class TestFilesBackend(BackendContract):
    @pytest.fixture
    def backend(self, state_dir: Path) -> Iterator[FilesBackend]:
        backend = FilesBackend(state_dir / "state", state_dir / "run")
        yield backend
        for volume in backend.survey():
            backend.clear(volume)
