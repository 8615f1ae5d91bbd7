"""Reported races and bugs of what hosts get, with real daemons and block devices, each under its number or name."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import delete

from moorage.volumes.backend import Connection
from moorage.volumes.records import attachments
from tests.cloud import running
from tests.drivers.clients import ClientError, client, libnbd
from tests.drivers.loops import MIB, read, write
from tests.drivers.writers import BLOCK, block
from tests.flows.drift import Drift


@pytest.fixture
def drift(state_dir: Path) -> Iterator[Drift]:
    with running(state_dir) as cloud:
        drift = Drift(cloud)
        yield drift
        if os.geteuid() == 0:
            drift.clean()


def door(drift: Drift, attachment: str) -> Connection:
    return Connection(drift.row(attachment)["connection"]["uri"])


def test_lp_1741476_who_may_only_read_does_not_write_while_his_sibling_does(drift: Drift) -> None:
    volume = drift.shared()
    writes, reads = drift.attach(volume, nbd=True), drift.attach(volume, "ro", nbd=True)
    with client(door(drift, writes)) as writer, client(door(drift, reads)) as reader:
        reader.set_strict_mode(reader.get_strict_mode() & ~libnbd.STRICT_COMMANDS)
        assert reader.is_read_only() and not writer.is_read_only()
        for number in range(1, 9):
            writer.pwrite(block(number), 0)
            with pytest.raises(ClientError):
                reader.pwrite(block(99), 0)
            assert bytes(reader.pread(BLOCK, 0)) == block(number)
    drift.detach(reads)
    drift.detach(writes)


@pytest.mark.root
def test_lp_1741476_the_device_of_a_reader_is_read_only(drift: Drift) -> None:
    volume = drift.shared()
    writes, reads = drift.device(drift.attach(volume)), drift.device(drift.attach(volume, "ro"))
    write(writes, b"w")
    with pytest.raises(OSError, match=r"not permitted|[Rr]ead-only"):
        write(reads, b"x")
    assert read(reads) == b"w" * MIB


@pytest.mark.root
def test_lp_1904546_1965679_2125840_a_reader_keeps_its_device_when_others_on_its_host_come_and_go(
    drift: Drift,
) -> None:
    volume = drift.shared()
    stays = drift.device(drift.attach(volume, "ro"))
    writer = drift.attach(volume)
    write(drift.device(writer), b"1")
    drift.detach(writer)

    def one(_: int) -> bytes:
        passing = drift.attach(volume, "ro")
        seen = read(drift.device(passing))
        drift.detach(passing)
        return seen

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(8))) == [b"1" * MIB] * 8
    assert read(stays) == b"1" * MIB
    assert len(drift.rooms.devices.present()) == 1, "who left has left nothing"


@pytest.mark.root
def test_os_brick_wrong_device_a_device_always_shows_the_volume_it_was_given_for(drift: Drift) -> None:
    """Paths are used again at once, by whichever volume comes next."""
    volumes = [drift.volume() for _ in range(4)]
    for n, volume in enumerate(volumes):
        attachment = drift.attach(volume)
        write(drift.device(attachment), bytes([n + 1]))
        drift.detach(attachment)

    def one(n: int) -> None:
        for _ in range(4):
            attachment = drift.attach(volumes[n])
            assert read(drift.device(attachment)) == bytes([n + 1]) * MIB
            drift.detach(attachment)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(4)))
    assert drift.rooms.devices.present() == {}


@pytest.mark.root
def test_lp_2019078_what_dangles_on_either_side_is_found_and_mended(drift: Drift) -> None:
    volume = drift.shared()
    kept, forgotten, closed = drift.attach(volume, nbd=True), drift.attach(volume, nbd=True), drift.attach(volume)
    with drift.rooms.database.write() as tx:
        tx.run(delete(attachments).where(attachments.c.id == forgotten))
    drift.rooms.devices.disconnect(closed)
    drift.backend.withdraw(volume, closed)
    assert drift.kinds(fix=True)
    assert drift.kinds() == []
    mended = {kept} | ({closed} if drift.row(closed)["state"] == "attached" else set())
    assert drift.backend.survey()[volume].exports == mended
    with client(door(drift, kept)) as nbd:
        nbd.pwrite(block(1), 0)
    for attachment in (kept, closed):
        drift.detach(attachment)
    assert (drift.status(volume), drift.backend.survey()) == ("available", {})


@pytest.mark.root
def test_a_take_over_by_another_door_takes_the_device_away(drift: Drift) -> None:
    """Found by the state machine: it stayed until the next reconciliation."""
    attachment = drift.attach(drift.volume())
    drift.device(attachment)
    drift.update(attachment, nbd=True)
    assert drift.rooms.devices.present() == {}
    drift.detach(attachment)
