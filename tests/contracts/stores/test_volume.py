"""The store of volumes keeps the contract, against a real Block Storage with real daemons and gates."""

import pytest

from moorage.config import StoreSettings
from moorage.drivers.stores.volume.settings import VolumeStoreSettings
from tests.cloud import running
from tests.conftest import state_directory
from tests.contracts.stores.contract import StoreContract


@pytest.fixture(scope="class")
def cloud():
    """A cloud that keeps images in volumes."""
    store = StoreSettings(id="volumes", kind="volume", volume=VolumeStoreSettings(idle_s=2))
    with state_directory() as state, running(state, stores=(StoreSettings(), store)) as made:
        yield made


class TestVolume(StoreContract):
    @pytest.fixture
    def store(self, cloud):
        store = cloud.app.rooms.stores["volumes"].inner
        yield store
        for name in store.names():
            store.delete(name)

    @pytest.fixture
    def small_store(self):
        pytest.skip(
            "a volume of 1 GiB is the least that there is: a full disk under it takes longer to fill than it tells"
        )
