"""nbdfuse and loop devices keep the contract, over real exports of real volumes."""

import pytest

from tests.contracts.devices.contract import DevicesContract
from tests.drivers.loops import Rig, left


@pytest.mark.root
class TestLoop(DevicesContract):
    @pytest.fixture
    def rig(self, state_dir):
        rig = Rig(state_dir)
        yield rig
        rig.close()
        assert left(state_dir) == []

    @pytest.fixture
    def devices(self, rig):
        return rig.devices

    @pytest.fixture
    def address(self, rig):
        return lambda: rig.publish(rig.volume())
