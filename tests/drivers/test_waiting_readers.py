"""Readers of copies wait for a source that fails as long as it does, and keep nobody else from anything."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from moorage.drivers.backends.files import daemon
from moorage.drivers.backends.files.copies import shelf
from moorage.volumes.backend import CHUNK_BYTES, Connection, Door
from tests.drivers.clients import ClientError, client
from tests.drivers.origin import Origin
from tests.drivers.plane import Plane
from tests.drivers.test_copies import DATA, SIZE, backend, head, origin, plane
from tests.patience import until

__all__ = ["origin", "plane"]


@pytest.fixture
def patient(plane: Plane, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Plane:
    """Readers wait until their bytes come, which is how it is unless the operator says otherwise."""
    monkeypatch.setattr(shelf, "TURN_S", 0.3)
    monkeypatch.setattr(daemon, "LET_GO_S", 1.0)
    plane.backend.close()
    plane.backend = backend(plane, origin, fault_s=0.0)
    return plane


@pytest.mark.parametrize("trouble", ["down", "garbled"])
@pytest.mark.parametrize("door", [Door.PRIVATE, Door.SOCKET])
def test_readers_wait_for_a_source_that_fails_and_then_go_on(
    patient: Plane, origin: Origin, trouble: str, door: Door
) -> None:
    connection = patient.publish("a1", head(patient), door)
    setattr(origin, trouble, True)
    with client(connection) as nbd, ThreadPoolExecutor(1) as one:
        read = one.submit(nbd.pread, 512, 0)
        until(lambda: origin.asked[0] > 6)  # longer than its turn
        assert not read.done()
        with client(connection) as other, ThreadPoolExecutor(5) as many:
            reads = [many.submit(pread, connection, at) for at in range(CHUNK_BYTES, SIZE, CHUNK_BYTES)]
            until(lambda: all(origin.asked[n] for n in range(1, 4)))
            setattr(origin, trouble, False)
            assert [bytes(found.result(60)) for found in reads] == [
                DATA[at : at + 512] for at in range(CHUNK_BYTES, SIZE, CHUNK_BYTES)
            ]
            assert read.result(60) == DATA[:512]
            assert other.pread(512, 4096) == nbd.pread(512, 4096) == DATA[4096:4608]


def pread(connection: Connection, at: int) -> bytes:
    with client(connection) as nbd:
        return bytes(nbd.pread(512, at))


def test_a_door_is_closed_while_a_read_waits_and_other_volumes_of_the_copy_wait_on(
    patient: Plane, origin: Origin
) -> None:
    leaving = patient.publish("a1", head(patient), Door.SOCKET)
    patient.volume, first = f"{patient.volume[:12]}ffff", patient.volume
    patient.names.append(patient.volume)
    staying = patient.publish("b1", head(patient, part="create-2"), Door.SOCKET)
    origin.down = True
    with ThreadPoolExecutor(2) as many:
        lost, kept = many.submit(pread, leaving, 0), many.submit(pread, staying, 0)
        until(lambda: origin.asked[0] > 1)
        time.sleep(0.5)
        patient.volume, second = first, patient.volume
        patient.backend.withdraw(patient.volume, "a1")
        with pytest.raises(ClientError):
            lost.result(60)
        assert not kept.done()
        patient.volume = second
        origin.down = False
        assert kept.result(60) == DATA[:512]
