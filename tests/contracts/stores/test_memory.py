"""The memory store keeps the contract."""

import pytest

from moorage.drivers.stores.memory import MemoryStore
from tests.contracts.stores.contract import StoreContract


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self):
        return MemoryStore("memory")

    @pytest.fixture
    def small_store(self):
        return lambda: MemoryStore("small", room_bytes=3 << 20)
