"""
A volume of a volume in use is what that was like at one moment, for all of its writers at once; they notice nothing.

The writers number what they write and each waits for his answer, so that a copy is of one moment exactly if it holds,
of each of them, his first so many writes and not one that came later.
"""

import os
import signal

import pytest
from sqlalchemy import update

from moorage.flows.reconciliation import reconcile
from moorage.volumes import layers
from moorage.volumes.backend import Cache, Connection, Format, Layer
from moorage.volumes.records import volumes
from tests.drivers.clients import client
from tests.drivers.writers import BLOCK, CONNECTIONS, Writer, Writers, block
from tests.flows.drift import Drift, V
from tests.patience import eventually

pytestmark = pytest.mark.root  # for `Drift`, which cleans devices up

SIZE = 8 << 20


class Recounting(Writer):
    """A writer that remembers all that he wrote, in order."""

    def __init__(self, connection: Connection, share: int, size: int) -> None:
        super().__init__(connection, share, size)
        self.offsets: list[int] = []

    def wrote(self, offset: int) -> None:
        self.offsets.append(offset)


def connection(drift: Drift, attachment: str) -> Connection:
    return Connection(drift.row(attachment)["connection"]["uri"])


def moment(drift: Drift, volume: str, writers: Writers) -> list[int]:
    """How many writes of each writer the copy holds; that it is of one moment is checked."""
    with client(connection(drift, drift.attach(volume, "ro", nbd=True))) as nbd:
        data = b"".join(bytes(nbd.pread(1 << 20, at)) for at in range(0, SIZE, 1 << 20))
    counts = []
    for writer in writers.all:
        assert isinstance(writer, Recounting)
        mine = {at: data[at : at + BLOCK] for at in range(writer.share * BLOCK, SIZE, CONNECTIONS * BLOCK)}
        count = max((int.from_bytes(found[:8], "little") for found in mine.values()), default=0)
        expected = dict.fromkeys(mine, bytes(BLOCK))
        for number, offset in enumerate(writer.offsets[:count], 1):
            expected[offset] = block(number)
        assert mine == expected
        counts.append(count)
    return counts


@pytest.mark.parametrize(("kind", "cache"), [("raw", Cache.BACK), ("overlay", Cache.BACK), ("overlay", Cache.THROUGH)])
def test_copies_of_a_volume_in_use_are_of_one_moment_and_nobody_notices(drift: Drift, kind: str, cache: Cache) -> None:
    source = drift.shared() if kind == "raw" else drift.shared(source_volid=drift.shared())
    with drift.rooms.database.write() as tx:
        tx.run(update(volumes).where(volumes.c.id == source).values(cache=str(cache)))
    held, reading = drift.attach(source, nbd=True), drift.attach(source, "ro", nbd=True)
    writers = Writers(connection(drift, held), SIZE, Recounting)
    with client(connection(drift, reading)) as reader:
        assert eventually(lambda: all(writer.acknowledged for writer in writers.all))
        copies = []
        for _ in range(3):
            least = [len(writer.offsets) for writer in writers.all]  # type: ignore[attr-defined]
            copy = drift.volume(source_volid=source)
            most = [len(writer.offsets) + 1 for writer in writers.all]  # type: ignore[attr-defined]
            copies.append((copy, least, most))
            assert drift.status(source) == "in-use"
            reader.pread(BLOCK, 0)
        assert eventually(lambda: not any(writer.ended for writer in writers.all))
        for copy, least, most in copies:
            counts = moment(drift, copy, writers)
            assert all(a <= n <= b for a, n, b in zip(least, counts, most, strict=True)), (least, counts, most)
        assert not any(writer.ended for writer in writers.all)
        reader.pread(BLOCK, 0)
    drift.detach(held)
    writers.join()
    assert [drift.row(id)["generation"] for id in (held, reading)] == [1, 1]
    assert writers.missing(connection(drift, reading)) == []
    assert drift.kinds() == []
    made = drift.cloud.call("GET", f"/moorage/v1/volumes/{copies[0][0]}", headers=V).json["volume"]["made"]
    assert (made["path"], made["bytes"]) == ("overlay-on-volume", 0)


def test_a_writer_on_a_raw_head_that_was_frozen_is_not_silently_resumed(drift: Drift) -> None:
    """The new head is an overlay: from the moment of the copy on, its promises are an overlay's."""
    source = drift.volume()
    held = drift.attach(source, nbd=True)
    with client(connection(drift, held)) as nbd:
        nbd.pwrite(block(1), 0)
        copy = drift.volume(source_volid=source)
        nbd.pwrite(block(2), 0)
        nbd.flush()
        os.kill(drift.daemon(source), signal.SIGKILL)
        drift.until(lambda: not drift.backend.survey().get(source) or not drift.backend.survey()[source].alive)
    reconcile.every_minute(drift.rooms)
    drift.until(lambda: drift.row(held)["state"] == "error_attaching")
    drift.update(held, nbd=True)
    with client(connection(drift, held)) as nbd:
        assert nbd.pread(BLOCK, 0) == block(2)
    with client(connection(drift, drift.attach(copy, nbd=True))) as nbd:
        assert nbd.pread(BLOCK, 0) == block(1)


def test_a_daemon_that_was_left_behind_half_way_goes_over_when_the_host_is_looked_after_again(drift: Drift) -> None:
    source = drift.volume()
    held = drift.attach(source, nbd=True)
    with client(connection(drift, held)) as nbd:
        nbd.pwrite(block(1), 0)
        with drift.rooms.database.write() as tx:  # what a freeze has entered when its process is killed
            row = tx.one(volumes.select().where(volumes.c.id == source)) or {}
            head = Layer(f"volumes/{source}/left-1", Format.QCOW2, 1 << 30, layers.chain(tx, row["head"]))
            drift.backend.create(head)
            layers.enter(tx, head, "files")
            tx.run(update(volumes).where(volumes.c.id == source).values(head=head.name))
        os.kill(drift.backend._records.load(source).entries[held].gate.pid, signal.SIGKILL)
        drift.until(lambda: held not in drift.backend.survey()[source].exports)
        assert drift.kinds(fix=True) == ["export-missing"]
    assert drift.backend.survey()[source].head == head.name
    with client(connection(drift, held)) as nbd:
        assert nbd.pread(BLOCK, 0) == block(1)


def test_a_chain_does_not_grow_without_end(drift: Drift, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "DEEPEST_CHAIN", 2)
    source = drift.volume()
    held = drift.attach(source, nbd=True)
    drift.volume(source_volid=source)
    asked = {"volume": {"source_volid": source}}
    reply = drift.cloud.call("POST", "/volume/v3/volumes", asked, headers=V)
    id = reply.json["volume"]["id"]
    drift.until(lambda: drift.status(id) == "error")
    with client(connection(drift, held)) as nbd:
        nbd.pwrite(block(1), 0)
    assert drift.status(source) == "in-use"
