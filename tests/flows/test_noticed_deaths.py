"""
A daemon or a gate that dies is noticed at once, adopted ones too: nobody asks a doctor here. What becomes of the row,
the volume, the host's device and the client depends on the head alone.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from moorage.config import Config
from moorage.volumes.backend import Cache, Connection
from tests.cloud import Cloud, running
from tests.drivers.clients import ClientError, client
from tests.drivers.loops import read, write
from tests.flows import heads
from tests.flows.drift import Drift, V, drifting
from tests.flows.test_acknowledged_writes import HEADS

pytestmark = pytest.mark.root

PATTERN = b"moorage!" * 512


@pytest.fixture
def drift(state_dir: Path) -> Iterator[Drift]:
    with drifting(state_dir, watched=True) as drift:
        yield drift


def at(drift: Drift, attachment: str) -> Connection:
    return Connection(drift.row(attachment)["connection"]["uri"])


def kill(drift: Drift, volume: str) -> None:
    """Kill the daemon, and wait for its end."""
    process = drift.backend._records.load(volume).process
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(30)


def goes_on(drift: Drift, volume: str, attachment: str, uri: str, generation: int = 1) -> bool:
    """Whether the attachment can be used again, as it was."""
    row = drift.row(attachment)
    assert (row["state"], row["generation"], row["connection"]["uri"]) == ("attached", generation, uri)
    server = drift.backend._records.load(volume)
    if server is None or not server.process.alive() or attachment not in server.entries:
        return False
    gate = server.entries[attachment].gate
    if gate is None or not gate.alive():
        return False
    try:
        with client(Connection(uri)) if "nbds" not in uri else nullcontext():
            return True
    except ClientError:  # it has just been started
        return False


def is_lost(drift: Drift, attachment: str, generation: int = 2) -> bool:
    row = drift.row(attachment)
    return (row["state"], row["generation"], row["export"]) == ("error_attaching", generation, None)


@pytest.mark.parametrize(("kind", "cache", "lossless"), HEADS)
def test_clients_of_a_daemon_that_dies(drift: Drift, kind: str, cache: Cache, lossless: bool) -> None:
    volume = heads.volume(drift, kind, cache, shared=True)
    device, gate, reader = drift.attach(volume), drift.attach(volume, nbd=True), drift.attach(volume, "ro", nbd=True)
    path, addresses = drift.device(device), {id: at(drift, id).uri for id in (gate, reader)}
    with client(at(drift, gate)) as writing, client(at(drift, reader)) as reading:
        writing.pwrite(PATTERN, 0)
        writing.flush()
        kill(drift, volume)
        with pytest.raises(ClientError):
            writing.pwrite(PATTERN, 0)
        with pytest.raises(ClientError):
            reading.pread(512, 0)
    with pytest.raises(OSError):
        write(path, b"x", 1)
    drift.until(lambda: is_lost(drift, device))
    drift.until(lambda: device not in drift.rooms.devices.present())
    assert drift.status(volume) == "in-use"
    for id, uri in addresses.items():
        if lossless:
            drift.until(lambda id=id, uri=uri: goes_on(drift, volume, id, uri))  # type: ignore[misc]
        else:
            drift.until(lambda id=id: is_lost(drift, id))  # type: ignore[misc]
            with pytest.raises(ClientError), client(Connection(uri)):
                pass
            drift.update(id, nbd=True)
        with client(at(drift, id)) as nbd:
            assert nbd.pread(len(PATTERN), 0) == PATTERN
    assert read(drift.update(device, local=True)["device_path"])[: len(PATTERN)] == PATTERN
    assert drift.row(device)["generation"] == 3
    assert drift.kinds() == []


def test_a_type_chooses_the_write_cache_and_copies_keep_it(drift: Drift) -> None:
    specs = {"moorage:write_cache": "through"}
    body: dict[str, Any] = {"volume_type": {"name": "safe", "extra_specs": specs}}
    made = drift.cloud.call("POST", "/volume/v3/types", body, as_="moorage-admin", headers=V)
    source = drift.volume(volume_type=made.json["volume_type"]["id"])
    copy = drift.volume(source_volid=source, volume_type="files")
    held = drift.attach(copy, nbd=True)
    uri = at(drift, held).uri
    with client(at(drift, held)) as nbd:
        nbd.pwrite(PATTERN, 0)
        kill(drift, copy)
    drift.until(lambda: goes_on(drift, copy, held, uri))
    with client(Connection(uri)) as nbd:
        assert nbd.pread(len(PATTERN), 0) == PATTERN
    shown = drift.cloud.call("GET", f"/moorage/v1/volumes/{copy}", headers=V).json["volume"]
    assert shown["cache"] == "through"
    body["volume_type"] |= {"name": "odd", "extra_specs": {"moorage:write_cache": "sideways"}}
    refused = drift.cloud.call("POST", "/volume/v3/types", body, as_="moorage-admin", headers=V)
    assert (refused.status, b"back or through" in refused.body) == (400, True)


@pytest.mark.parametrize("kind", ["raw", "qcow2", "overlay"])
def test_readers_alone_go_on(drift: Drift, kind: str) -> None:
    volume = heads.volume(drift, kind, shared=True)
    first, second = (drift.attach(volume, "ro", nbd=True) for _ in range(2))
    addresses = {id: at(drift, id).uri for id in (first, second)}
    kill(drift, volume)
    for id, uri in addresses.items():
        drift.until(lambda id=id, uri=uri: goes_on(drift, volume, id, uri))  # type: ignore[misc]
        with client(Connection(uri)) as nbd:
            assert nbd.pread(512, 0) == bytes(512)


def test_a_reader_whose_writing_sibling_left_cleanly_goes_on(drift: Drift) -> None:
    volume = heads.volume(drift, "overlay", shared=True)
    writer, reader = drift.attach(volume, nbd=True), drift.attach(volume, "ro", nbd=True)
    with client(at(drift, writer)) as nbd:
        nbd.pwrite(PATTERN, 0)
    drift.detach(writer)
    uri = at(drift, reader).uri
    kill(drift, volume)
    drift.until(lambda: goes_on(drift, volume, reader, uri))
    with client(Connection(uri)) as nbd:
        assert nbd.pread(len(PATTERN), 0) == PATTERN


@pytest.mark.parametrize("kind", ["raw", "overlay"])
@pytest.mark.parametrize("tls", [False, True], ids=["socket", "tls"])
def test_a_gate_that_dies_alone_is_started_again_where_it_was(drift: Drift, kind: str, tls: bool) -> None:
    volume = heads.volume(drift, kind, shared=True)
    gated, sibling = _attached(drift, volume, tls), drift.attach(volume, nbd=True)
    uri, daemon = at(drift, gated).uri, drift.daemon(volume)
    with client(at(drift, sibling)) as other:
        for _ in range(2):
            gate = drift.backend._records.load(volume).entries[gated].gate
            os.kill(gate.pid, signal.SIGKILL)
            assert gate.wait(30)
            drift.until(lambda: goes_on(drift, volume, gated, uri))
        other.pwrite(PATTERN, 0)
    assert drift.daemon(volume) == daemon
    if not tls:
        with client(Connection(uri)) as nbd:
            assert nbd.pread(len(PATTERN), 0) == PATTERN


def _attached(drift: Drift, volume: str, tls: bool) -> str:
    return drift.attach(volume, nbd=True, host="elsewhere") if tls else drift.attach(volume, nbd=True)


@pytest.mark.parametrize("victim", ["daemon", "gate"])
def test_what_was_adopted_is_watched_too(state_dir: Path, victim: str) -> None:
    before = Drift(Cloud(Config(state=state_dir)), watched=True)
    volume = before.volume()
    held = before.attach(volume, nbd=True)
    uri = at(before, held).uri
    before.cloud.app.stop()  # as SIGTERM does: daemons and gates go on
    with running(state_dir) as cloud:
        after: Any = Drift(cloud, watched=True)
        old = after.backend._records.load(volume)
        process = old.process if victim == "daemon" else old.entries[held].gate
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(30)
        after.until(lambda: goes_on(after, volume, held, uri))
        with client(Connection(uri)) as nbd:
            nbd.pwrite(PATTERN, 0)
        after.clean()


def test_an_end_that_was_asked_for_is_no_death(drift: Drift, caplog: pytest.LogCaptureFixture) -> None:
    volume = drift.shared()
    first, second = drift.attach(volume, nbd=True), drift.attach(volume, nbd=True)
    drift.detach(first)
    drift.detach(second)
    with client(at(drift, drift.attach(volume, nbd=True))) as nbd:
        nbd.pwrite(PATTERN, 0)
    assert drift.kinds() == []
    assert "has died" not in caplog.text
