"""The memory backend keeps the contract."""

import pytest

from moorage.drivers.backends.memory import MemoryBackend
from tests.contracts.backends.contract import BackendContract
from tests.contracts.backends.copies import CopiesContract


class TestCopiesInMemory(CopiesContract):
    @pytest.fixture
    def backend(self) -> MemoryBackend:
        return MemoryBackend()


class TestMemoryBackend(BackendContract):
    @pytest.fixture
    def backend(self) -> MemoryBackend:
        return MemoryBackend()
