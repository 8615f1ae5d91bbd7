"""Readers of copies wait for a source that fails as long as it does, and keep nobody else from anything."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from moorage.drivers.backends.files import nbd
from moorage.drivers.backends.files.copies import desk
from moorage.volumes.backend import CHUNK_BYTES, Connection, Door, Format
from tests.drivers.clients import ClientError, client
from tests.drivers.origin import Origin
from tests.drivers.plane import Plane
from tests.drivers.test_copies import DATA, SIZE, backend, head, origin, plane
from tests.patience import until

__all__ = ["origin", "plane"]

LET_GO_S = 1.0


@pytest.fixture
def patient(plane: Plane, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Plane:
    """Readers wait until their bytes come, which is how it is unless the operator says otherwise."""
    monkeypatch.setattr(desk, "TURN_S", 0.3)
    plane.backend.close()
    plane.backend = backend(plane, origin, fault_s=0.0, let_go_s=LET_GO_S)
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


def test_a_head_is_frozen_while_a_read_waits(patient: Plane, origin: Origin) -> None:
    below = head(patient)
    connection = patient.publish("a1", below)  # behind a gate, no other read would follow one that failed
    origin.down = True
    with ThreadPoolExecutor(1) as one:
        lost = one.submit(pread, connection, 0)
        until(lambda: origin.asked[0] > 1)
        patient.backend.advance(patient.volume, patient.layer(Format.QCOW2, below, "snapshot-1", SIZE))
        with pytest.raises(ClientError):
            lost.result(60)
    origin.down = False
    assert pread(connection, 0) == DATA[:512]


def test_a_flush_that_takes_its_time_lets_no_read_go(
    patient: Plane, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the siblings of a writer who leaves, too, if they come once his own door is closed."""
    volume = head(patient)
    patient.publish("a1", volume, Door.SOCKET)
    staying = patient.publish("a2", volume, Door.SOCKET, read_only=True)
    origin.down = True
    request, kept = nbd.Client.request, []

    def slow(client: nbd.Client, *words: int) -> bytes:
        kept.append(many.submit(pread, staying, 0))
        until(lambda: origin.asked[0] > 1)
        time.sleep(3 * LET_GO_S)
        assert not kept[0].done()
        origin.down = False
        assert kept[0].result(60) == DATA[:512]
        return request(client, *words)

    with ThreadPoolExecutor(1) as many:
        monkeypatch.setattr(nbd.Client, "request", slow)
        patient.backend.withdraw(patient.volume, "a1")
    assert kept
