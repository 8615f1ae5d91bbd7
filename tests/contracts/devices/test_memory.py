"""The connector in memory keeps the contract."""

import pytest

from moorage.core.ids import new_uuid
from moorage.drivers.connectors.memory import MemoryDevices
from tests.contracts.devices.contract import DevicesContract


class TestMemory(DevicesContract):
    @pytest.fixture
    def devices(self):
        return MemoryDevices()

    @pytest.fixture
    def address(self):
        return lambda: (new_uuid(), f"memory://{new_uuid()}")
