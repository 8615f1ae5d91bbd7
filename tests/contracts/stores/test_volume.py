"""The store of volumes keeps the contract, against a real Block Storage with real daemons and gates."""

import pytest

from moorage.config import StoreSettings
from moorage.drivers.stores.volume.service import StoreBusy
from moorage.drivers.stores.volume.settings import VolumeStoreSettings
from tests.cloud import running
from tests.conftest import state_directory
from tests.contracts.stores.contract import BYTES, NAME, StoreContract, put


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
            for _ in range(3):
                try:
                    store.delete(name)
                    break
                except StoreBusy:
                    for reading in list(store.pool._readings.values()):
                        reading.streams.clear()

    @pytest.fixture
    def small_store(self):
        pytest.skip("how a full volume is told of is in tests/drivers/volume_store")

    def test_a_reader_finishes_what_a_delete_takes_away_or_is_told(self, store):
        """Here it is the other way round: what is read is not taken away, and the refusal says by whom."""
        put(store)
        chunks = store.open(NAME)
        first = next(chunks)
        with pytest.raises(StoreBusy) as caught:
            store.delete(NAME)
        assert [b.kind for b in caught.value.blockers] == ["attachment"]
        assert first + b"".join(chunks) == BYTES
        store.delete(NAME)
        assert store.names() == frozenset()
