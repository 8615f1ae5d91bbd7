"""Any one thing that goes wrong is found, named and repaired, while a sibling writes, reads and sees nothing of it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import delete, update

from moorage.core.ids import new_secret, new_uuid
from moorage.drivers.connectors import machine
from moorage.operations import journal
from moorage.operations.records import State as Op
from moorage.volumes.backend import Cache, Connection, Door, Export, Format, Layer
from moorage.volumes.records import attachments, volumes
from tests.conftest import state_directory
from tests.drivers.clients import client
from tests.flows.drift import Drift, drifting
from tests.flows.stubborn import BLOCK, BLOCKS, content

pytestmark = pytest.mark.root


class Sibling(threading.Thread):
    """Writes through one connection, and reads what it wrote, until it is told to stop; anything amiss is its end."""

    def __init__(self, uri: str) -> None:
        super().__init__(daemon=True)
        self._uri, self._stop_it = uri, threading.Event()
        self.done = 0
        self.trouble: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            with client(Connection(self._uri)) as nbd:
                while not self._stop_it.is_set():
                    number = self.done + 1
                    at = (number % BLOCKS) * BLOCK + (1 << 29)
                    nbd.pwrite(content(number), at)
                    assert nbd.pread(BLOCK, at) == content(number)
                    self.done = number
        except Exception as problem:
            self.trouble = problem

    def end(self) -> None:
        self._stop_it.set()
        self.join(30)
        assert not self.is_alive() and self.trouble is None


@pytest.fixture(scope="module")
def drift() -> Iterator[Drift]:
    with state_directory() as state, drifting(state) as drift:
        yield drift


def head(drift: Drift, volume: str) -> Layer:
    with drift.rooms.database.read() as tx:
        row = tx.get(volumes, volume) or {}
    return Layer(row["head"], Format.RAW, 1 << 30)


def orphan_export(drift: Drift, volume: str) -> None:
    export = Export(new_uuid(), volume, new_secret(), False, Door.PRIVATE)
    drift.backend.publish(export, head(drift, volume), Cache.BACK)


def missing_export(drift: Drift, volume: str) -> None:
    drift.backend.withdraw(volume, drift.attach(volume, moorage=True))


def dead_daemon(drift: Drift, volume: str) -> None:
    another = drift.volume()
    drift.attach(another, nbd=True)
    drift.kill_daemon(another)


def dead_gate(drift: Drift, volume: str) -> None:
    id = drift.attach(volume, nbd=True)
    os.kill(drift.backend._records.load(volume).entries[id].gate.pid, signal.SIGKILL)
    drift.until(lambda: id not in drift.backend.survey()[volume].exports)


def dead_device(drift: Drift, volume: str) -> None:
    id = drift.attach(volume)
    (pid,) = [p.identity.pid for p in machine.programs("nbdfuse") if any(id in word for word in p.words)]
    os.kill(pid, signal.SIGKILL)
    drift.until(lambda: not drift.rooms.devices.present()[id].alive)


def missing_device(drift: Drift, volume: str) -> None:
    drift.rooms.devices.disconnect(drift.attach(volume))


def stale_device(drift: Drift, volume: str) -> None:
    id = drift.attach(volume, "ro")
    device, uri = drift.rooms.devices, drift.row(id)["connection"]["uri"]
    device.connect(new_uuid(), uri, read_only=True)


def publishing_without_an_operation(drift: Drift, volume: str) -> None:
    _set(drift, drift.attach(volume, nbd=True), state="attaching", connection=None)


def withdrawing_without_an_operation(drift: Drift, volume: str) -> None:
    _set(drift, drift.attach(volume, nbd=True), state="detaching")


def _set(drift: Drift, id: str, **values: object) -> None:
    with drift.rooms.database.write() as tx:
        tx.run(update(attachments).where(attachments.c.id == id).values(**values))


def volume_without_an_operation(drift: Drift, volume: str) -> None:
    another = drift.volume()
    drift.backend.delete(head(drift, another).name)
    with drift.rooms.database.write() as tx:
        name = (tx.get(volumes, another) or {})["head"]
        tx.run(update(volumes).where(volumes.c.id == another).values(head=None, status="creating"))
        from moorage.volumes.records import layers

        tx.run(delete(layers).where(layers.c.id == name))


def operation_without_a_row(drift: Drift, volume: str) -> None:
    with drift.rooms.database.write() as tx:
        asked = {"queue": drift.rooms.host_queue, "project_id": None}
        id = journal.begin(tx, "extend-volume", "volume", new_uuid(), **asked)
        tx.change(journal.operations, id, {"state": str(Op.QUEUED), "not_before": tx.now + 10**12})


def stale_status(drift: Drift, volume: str) -> None:
    with drift.rooms.database.write() as tx:
        tx.run(update(volumes).where(volumes.c.id == volume).values(status="available"))


def leftover_file(drift: Drift, volume: str) -> None:
    drift.backend.create(Layer(f"volumes/{volume}/{new_uuid()}-1", Format.RAW, 1 << 20))


# fmt: off
DRIFTS = (
    # what is done                        what it is called, all of it
    (orphan_export,                       {"export-orphan"}),
    (missing_export,                      {"export-missing"}),
    (dead_daemon,                         {"server-dead"}),
    (dead_gate,                           {"export-missing"}),
    (dead_device,                         {"device-dead"}),
    (missing_device,                      {"device-missing"}),
    (stale_device,                        {"device-orphan"}),
    (publishing_without_an_operation,     {"attachment-abandoned", "export-orphan"}),
    (withdrawing_without_an_operation,    {"attachment-abandoned", "export-orphan"}),
    (volume_without_an_operation,         {"volume-abandoned"}),
    (operation_without_a_row,             {"operation-orphan"}),
    (stale_status,                        {"status-stale"}),
    (leftover_file,                       {"layer-orphan"}),
)
# fmt: on


@pytest.mark.parametrize(("go_wrong", "kinds"), DRIFTS, ids=[row[0].__name__ for row in DRIFTS])
def test_it_is_found_named_and_repaired_and_a_sibling_sees_nothing(
    drift: Drift, go_wrong: Callable[[Drift, str], None], kinds: set[str]
) -> None:
    volume = drift.shared()
    gated, held = drift.attach(volume, nbd=True), drift.attach(volume, "ro")
    before = [
        (drift.row(id)["state"], drift.row(id)["generation"], drift.row(id)["connection"]) for id in (gated, held)
    ]
    sibling = Sibling(drift.row(gated)["connection"]["uri"])
    go_wrong(drift, volume)
    assert set(drift.kinds()) == kinds
    report = drift.doctor(fix=True)
    assert (report["left"], report["failed"]) == ([], [])
    done = sibling.done
    drift.until(lambda: sibling.done > done + 10 or sibling.trouble is not None)
    sibling.end()
    after = [(drift.row(id)["state"], drift.row(id)["generation"], drift.row(id)["connection"]) for id in (gated, held)]
    assert after == before
    assert drift.device(held)
    assert drift.kinds() == [] and drift.status(volume) == "in-use"


@pytest.mark.parametrize("go_wrong", [withdrawing_without_an_operation, operation_without_a_row, dead_gate])
def test_it_is_repaired_by_itself_within_a_minute(drift: Drift, go_wrong: Callable[[Drift, str], None]) -> None:
    from moorage.flows.reconciliation import reconcile

    volume = drift.shared()
    drift.attach(volume, "ro")
    go_wrong(drift, volume)
    reconcile.every_minute(drift.rooms)
    drift.until(lambda: drift.kinds() == [])
