"""Many at once: attachments of one volume that do not disturb each other, volumes that do not wait for each other."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from moorage.drivers.backends.files import qmp
from moorage.volumes.backend import Cache, Door, Export, Format, Layer
from tests.drivers.clients import client
from tests.drivers.plane import MIB, Plane

CROWD = 16
VOLUMES = 8
BLOCK = 4096


def test_siblings_come_and_go_without_disturbing_those_that_stay(plane: Plane) -> None:
    head = plane.layer(Format.QCOW2)
    with ExitStack() as stack:
        staying = [
            stack.enter_context(client(plane.publish(f"stay{number}", head, Door.SOCKET))) for number in range(CROWD)
        ]
        for number, nbd in enumerate(staying):
            plane.publish("passing", head, Door.SOCKET)
            nbd.pwrite(bytes([number + 1]) * BLOCK, number * BLOCK)
            plane.backend.withdraw(plane.volume, "passing")
        for reader in staying:
            data = reader.pread(CROWD * BLOCK, 0)
            assert data == b"".join(bytes([number + 1]) * BLOCK for number in range(CROWD))
    for number in range(CROWD):
        plane.backend.withdraw(plane.volume, f"stay{number}")
    assert plane.empty()


def test_volumes_are_served_side_by_side_from_several_threads(plane: Plane) -> None:
    backend = plane.backend

    def life(number: int) -> bytes:
        volume = f"{plane.volume}-{number}"
        head = Layer(f"volumes/{volume}/create-1", Format.QCOW2, MIB, None)
        backend.create(head)
        for turn in range(3):
            name = os.urandom(16).hex()
            with client(backend.publish(Export("a1", volume, name, False, Door.SOCKET), head, Cache.BACK)) as nbd:
                nbd.pwrite(bytes([number]) * BLOCK, turn * BLOCK)
                backend.survey()
            backend.withdraw(volume, "a1")
        name = os.urandom(16).hex()
        with client(backend.publish(Export("a1", volume, name, True, Door.PRIVATE), head, Cache.BACK)) as nbd:
            data = bytes(nbd.pread(3 * BLOCK, 0))
        backend.withdraw(volume, "a1")
        return data

    with ThreadPoolExecutor(VOLUMES) as pool:
        found = list(pool.map(life, range(1, VOLUMES + 1)))
    assert found == [bytes([number]) * 3 * BLOCK for number in range(1, VOLUMES + 1)]
    assert backend.survey() == {}
    assert plane.empty()


def test_a_volume_whose_daemon_is_silent_does_not_hold_up_another(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one verb waits for a daemon that is stopped, `survey` and other volumes go on."""
    monkeypatch.setattr(qmp, "PATIENCE_S", 4.0)
    head = plane.layer(Format.RAW)
    plane.publish("a1", head)
    os.kill(plane.daemon(), signal.SIGSTOP)
    other = Layer(f"volumes/{plane.volume}-other/create-1", Format.RAW, MIB, None)
    plane.backend.create(other)
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(plane.backend.withdraw, plane.volume, "a1")
        wanted = Export("a2", f"{plane.volume}-other", os.urandom(16).hex(), False, Door.PRIVATE)
        while not plane.backend._turns.of(plane.volume).taken():
            pass
        plane.backend.publish(wanted, other, Cache.BACK)
        assert plane.backend.survey()[plane.volume].alive
        plane.backend.withdraw(wanted.volume, "a2")
        stuck.result()
    assert plane.empty()
