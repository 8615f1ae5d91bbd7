"""Copies that fill while they are read: real daemons, real NBD clients, a source that misbehaves."""

import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from moorage.drivers.backends.files import FilesBackend
from moorage.drivers.backends.files.copies import book, server
from moorage.drivers.backends.files.copies.book import DURABLE, PAGE, PRESENT, Book
from moorage.drivers.backends.files.daemon import Daemons
from moorage.volumes import backend as contract
from moorage.volumes.backend import CHUNK_BYTES, Connection, Format, Layer, SourceDiffers
from tests.drivers.clients import ClientError, client
from tests.drivers.origin import Origin, digests_of, noise
from tests.drivers.plane import Plane, arguments, running
from tests.patience import eventually, set_in_the_end

SIZE = 3 * CHUNK_BYTES + 2_345 * 512
NAME = "copies/some-image/some-maker-1"
DATA = noise(SIZE, seed=1)


@pytest.fixture
def origin() -> Origin:
    return Origin(DATA)


@pytest.fixture
def plane(plane: Plane, origin: Origin) -> Iterator[Plane]:
    plane.backend = backend(plane, origin)
    plane.backend.make_copy(NAME, SIZE, digests_of(DATA))
    yield plane
    plane.backend.close()


def backend(
    plane: Plane, origin: Origin, absence_s: float = 0.0, fault_s: float = 2.0, **options: float
) -> FilesBackend:
    state, run = plane.directory / "state", plane.directory / "run"
    made = FilesBackend(state, run, fault_patience_s=fault_s, absence_patience_s=absence_s, **options)  # type: ignore[arg-type]
    made.supply(origin)
    return made


def servers(plane: Plane) -> list[int]:
    run = str(plane.directory / "run")
    return [pid for pid in running() if "-I -S /proc/self/fd/" in arguments(pid) and run in arguments(pid)]


def head(plane: Plane, size: int = SIZE, part: str = "create-1", format: Format = Format.RAW) -> Layer:
    return plane.layer(Format.QCOW2, Layer(NAME, format, size), part, size)


def opened(plane: Plane, layer: Layer, attachment: str = "a1") -> Connection:
    return plane.publish(attachment, layer)


def same(connection: Connection, reads: int = 200, seed: int = 7) -> None:
    dice = random.Random(seed)
    with client(connection) as nbd:
        for _ in range(reads):
            at, length = dice.randrange(SIZE - 65536), dice.choice((1, 512, 4096, 65536))
            assert nbd.pread(length, at) == DATA[at : at + length]


def test_the_chunks_of_copies_are_those_of_the_digests() -> None:
    from moorage.images.content import digests

    assert (contract.CHUNK_BYTES, contract.DIGEST_BYTES) == (digests.CHUNK_BYTES, digests.DIGEST_BYTES)


def test_reads_equal_the_source_and_fetch_each_chunk_once(plane: Plane, origin: Origin) -> None:
    connection = opened(plane, head(plane))
    assert not origin.asked
    with ThreadPoolExecutor(8) as many:
        list(many.map(lambda seed: same(connection, seed=seed), range(8)))
    assert set(origin.asked.values()) == {1} and len(origin.asked) == 4


def test_many_readers_who_wait_for_one_chunk_have_it_fetched_once(plane: Plane, origin: Origin) -> None:
    origin.slow_s = 0.3
    connections = []
    for n in range(6):
        plane.volume = f"{plane.volume[:12]}{n:04}"
        plane.names.append(plane.volume)
        connections.append(opened(plane, head(plane), f"a{n}"))

    def first_sector(connection: Connection) -> bytes:
        with client(connection) as nbd:
            return bytes(nbd.pread(512, 0))

    with ThreadPoolExecutor(6) as many:
        assert set(many.map(first_sector, connections)) == {DATA[:512]}
    assert origin.asked == {0: 1}
    assert len(servers(plane)) == 1


def test_writes_stay_above_the_copy(plane: Plane) -> None:
    with client(opened(plane, head(plane))) as nbd:
        nbd.pwrite(b"mine" * 128, 4096)
        assert nbd.pread(1024, 4096) == b"mine" * 128 + DATA[4608:5120]
    data = plane.path(Layer(NAME, Format.RAW, SIZE)).read_bytes()
    assert data[:CHUNK_BYTES] == DATA[:CHUNK_BYTES]


def test_a_source_that_is_down_is_an_error_and_then_is_not(plane: Plane, origin: Origin) -> None:
    connection = opened(plane, head(plane))
    origin.down = True
    with client(connection) as nbd, pytest.raises(ClientError):
        nbd.pread(512, 0)
    assert origin.heard and origin.heard[-1] is not None and origin.heard[-1].code == "store.unavailable"
    origin.down = False
    with client(connection) as nbd:
        assert nbd.pread(512, 0) == DATA[:512]


def test_a_source_that_comes_back_in_time_is_only_slow(plane: Plane, origin: Origin) -> None:
    connection = opened(plane, head(plane))
    origin.down = True
    threading.Timer(0.5, lambda: setattr(origin, "down", False)).start()
    with client(connection) as nbd:
        assert nbd.pread(512, 0) == DATA[:512]
    assert eventually(lambda: bool(origin.heard) and origin.heard[-1] is None)


def test_wrong_bytes_never_reach_a_reader_nor_the_file(plane: Plane, origin: Origin) -> None:
    connection = opened(plane, head(plane))
    origin.garbled = True
    with client(connection) as nbd:
        with pytest.raises(ClientError):
            nbd.pread(512, 0)
        with pytest.raises(SourceDiffers):
            plane.backend.fill_copy(NAME, 1)
    assert len(plane.backend.missing(NAME)) == 4
    origin.garbled = False
    same(connection)


def test_too_few_and_too_many_bytes_are_wrong_bytes(plane: Plane, origin: Origin) -> None:
    for data in (DATA[:-1], b""):
        origin.data = data
        with pytest.raises(SourceDiffers):
            plane.backend.fill_copy(NAME, 3)
    assert 3 in plane.backend.missing(NAME)


def test_a_missing_chunk_keeps_nobody_from_what_is_there(plane: Plane, origin: Origin) -> None:
    connection = opened(plane, head(plane))
    plane.backend.fill_copy(NAME, 1)
    origin.gate.clear()
    with client(connection) as waits, ThreadPoolExecutor(1) as other, client(connection) as reads:
        late = other.submit(waits.pread, 512, 0)
        assert eventually(lambda: 0 in origin.asked)
        assert reads.pread(512, CHUNK_BYTES) == DATA[CHUNK_BYTES : CHUNK_BYTES + 512]
        assert not late.done()
        origin.gate.set()
        assert late.result(20) == DATA[:512]


def test_a_whole_copy_is_a_file_that_needs_no_server(plane: Plane, origin: Origin) -> None:
    layer = head(plane)
    for chunk in plane.backend.missing(NAME):
        plane.backend.fill_copy(NAME, chunk)
    assert plane.backend.settle_copy(NAME)
    origin.down = True
    connection = opened(plane, layer)
    same(connection)
    assert not servers(plane)
    assert plane.path(Layer(NAME, Format.RAW, SIZE)).read_bytes() == DATA
    plane.backend.withdraw(plane.volume, "a1")
    again = backend(plane, origin)
    assert again.missing(NAME) == [] and again.settle_copy(NAME)


def test_the_server_ends_with_the_last_volume_on_it(plane: Plane) -> None:
    first, second = plane.volume, plane.volume[::-1]
    opened(plane, head(plane))
    plane.volume = second
    opened(plane, head(plane), "a2")
    plane.backend.withdraw(first, "a1")
    assert len(servers(plane)) == 1
    plane.backend.withdraw(second, "a2")
    assert not servers(plane) and not plane.leftovers()


def test_a_server_that_is_killed_is_started_again_under_its_readers(plane: Plane, origin: Origin) -> None:
    connection = opened(plane, head(plane))
    with client(connection) as nbd:
        assert nbd.pread(512, 0) == DATA[:512]
        (pid,) = servers(plane)
        os.kill(pid, signal.SIGKILL)
        assert nbd.pread(4096, CHUNK_BYTES) == DATA[CHUNK_BYTES : CHUNK_BYTES + 4096]
        assert servers(plane) != [pid]


def test_readers_wait_as_long_as_nobody_supplies_and_then_are_served(plane: Plane, origin: Origin) -> None:
    connection = opened(plane, head(plane))
    with client(connection) as nbd, ThreadPoolExecutor(1) as other:
        origin.gate.clear()
        late = other.submit(nbd.pread, 512, 0)
        assert eventually(lambda: 0 in origin.asked)
        plane.backend.close()
        origin.gate.set()
        assert nbd_answers_nothing_for(late, 4.0)  # longer than a source that fails is waited for
        plane.backend = backend(plane, origin)
        assert late.result(20) == DATA[:512]
        plane.backend.close()
        assert nbd.pread(512, 4096) == DATA[4096:4608]
        late = other.submit(nbd.pread, 512, 2 * CHUNK_BYTES)
        assert nbd_answers_nothing_for(late, 4.0)
        origin.down = True
        plane.backend = backend(plane, origin)
        with pytest.raises(ClientError):  # somebody is there, and his source fails
            late.result(20)


def nbd_answers_nothing_for(late: "Future[bytes]", pause_s: float) -> bool:
    time.sleep(pause_s)
    return not late.done()


def test_absence_is_borne_as_long_as_was_said(plane: Plane, origin: Origin) -> None:
    plane.backend.close()
    plane.backend = backend(plane, origin, absence_s=1.0)
    connection = opened(plane, head(plane))
    plane.backend.close()
    with client(connection) as nbd, pytest.raises(ClientError):
        nbd.pread(512, 0)  # an error, not zeros
    plane.backend = backend(plane, origin)
    with client(connection) as nbd:
        assert nbd.pread(512, 0) == DATA[:512]


def test_a_fetcher_that_says_nothing_is_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = tmp_path / "book"
    book.write(page, book.text(SIZE, digests_of(DATA)))
    with page.open("rb") as file, socket.socket() as fetcher:
        copy = server.Copy(file.fileno(), file.fileno(), SIZE, patience_s=2.0, absence_s=0.0)
        now = time.monotonic()
        monkeypatch.setattr(server.time, "monotonic", lambda: now)
        copy.fetcher, copy.heard = fetcher, now
        copy.expire()
        late = server.Client(copy, fetcher)
        read = server.Waiting(late, 1, 0, 512)
        copy.fetcher = None
        copy.want(read)
        copy.fetcher, now = fetcher, now + server.SILENT_S
        copy.expire()  # he is stopped: that is nobody's fault
        assert late.later.empty()
        now = copy.heard = now + 1000
        copy.expire()  # he is back, and has the whole time again
        assert late.later.empty()
        now = copy.heard = now + 2.5
        copy.expire()
        assert late.later.get_nowait() == (read, server.EIO)


def test_a_door_closes_though_its_readers_wait(plane: Plane, origin: Origin) -> None:
    connection = opened(plane, head(plane))
    origin.gate.clear()
    with client(connection) as nbd, ThreadPoolExecutor(1) as other:
        late = other.submit(nbd.pread, 512, 0)
        assert eventually(lambda: 0 in origin.asked)
        plane.backend.withdraw(plane.volume, "a1")
        with pytest.raises(ClientError):
            late.result(20)
        origin.gate.set()
    assert not servers(plane)


def test_a_live_snapshot_waits_for_readers_and_does_not_kill(plane: Plane, origin: Origin) -> None:
    bottom = head(plane)
    connection = opened(plane, bottom)
    origin.gate.clear()
    with client(connection) as nbd, ThreadPoolExecutor(1) as other:
        late = other.submit(nbd.pread, 512, 0)
        assert eventually(lambda: 0 in origin.asked)
        threading.Timer(1.0, origin.gate.set).start()
        top = plane.layer(Format.QCOW2, bottom, "snapshot-1", SIZE)
        plane.backend.advance(plane.volume, top)
        assert late.result(20) == DATA[:512]
        assert nbd.pread(512, CHUNK_BYTES) == DATA[CHUNK_BYTES : CHUNK_BYTES + 512]


def complete(plane: Plane) -> None:
    for chunk in plane.backend.missing(NAME):
        plane.backend.fill_copy(NAME, chunk)
    assert plane.backend.settle_copy(NAME)


@pytest.mark.parametrize("above", [0, 1, 2])
def test_daemons_read_a_copy_that_became_whole_as_a_file(plane: Plane, origin: Origin, above: int) -> None:
    layer = head(plane)
    for n in range(above):
        layer = plane.layer(Format.QCOW2, layer, f"above-{n}", SIZE)
    connection = opened(plane, layer)
    with client(connection) as nbd:
        assert nbd.pread(512, 0) == DATA[:512]
        nbd.pwrite(b"mine" * 128, 4096)
        complete(plane)
        assert not servers(plane)
        origin.down = True
        plane.backend.close()
        same_but(nbd, b"mine" * 128, 4096)
        top = plane.layer(Format.QCOW2, layer, "snapshot-1", SIZE)
        plane.backend.advance(plane.volume, top)
        same_but(nbd, b"mine" * 128, 4096)
    plane.backend = backend(plane, origin)
    plane.backend.withdraw(plane.volume, "a1")
    with client(opened(plane, top, "a2")) as nbd:
        same_but(nbd, b"mine" * 128, 4096)


def same_but(nbd: Any, mine: bytes, at: int) -> None:
    expected = DATA[:at] + mine + DATA[at + len(mine) :]
    for start in range(0, SIZE, 1 << 20):
        length = min(1 << 20, SIZE - start)
        assert nbd.pread(length, start) == expected[start : start + length]


def test_a_snapshot_was_taken_before_the_copy_became_whole(plane: Plane, origin: Origin) -> None:
    bottom = head(plane)
    with client(opened(plane, bottom)) as nbd:
        nbd.pwrite(b"mine" * 128, 4096)
        top = plane.layer(Format.QCOW2, bottom, "snapshot-1", SIZE)
        plane.backend.advance(plane.volume, top)
        complete(plane)
        assert not servers(plane)
        same_but(nbd, b"mine" * 128, 4096)


def test_daemons_are_switched_under_readers_and_writers(plane: Plane, origin: Origin) -> None:
    connection, stop = opened(plane, head(plane)), threading.Event()

    def work(seed: int) -> int:
        count, dice = 0, random.Random(seed)
        with client(connection) as nbd:
            while not stop.is_set():
                at = dice.randrange(SIZE - 65536) // 65536 * 65536
                assert nbd.pread(65536, at) == DATA[at : at + 65536]
                nbd.pwrite(DATA[at : at + 4096], at)
                count += 1
        return count

    with ThreadPoolExecutor(4) as many, set_in_the_end(stop):
        workers = [many.submit(work, seed) for seed in range(4)]
        complete(plane)
        assert not servers(plane)
        stop.set()
        assert all(worker.result(60) for worker in workers)


def test_a_process_that_was_killed_before_it_switched_daemons_has_a_successor(plane: Plane, origin: Origin) -> None:
    connection = opened(plane, head(plane))
    shelf = plane.backend._shelf
    for chunk in plane.backend.missing(NAME):
        plane.backend.fill_copy(NAME, chunk)
    assert shelf.settle(NAME) and len(servers(plane)) == 1
    plane.backend.close()
    origin.down = True
    with client(connection) as nbd:
        assert nbd.pread(512, 0) == DATA[:512]
        plane.backend = backend(plane, origin)
        assert not servers(plane)
        same(connection)
        assert nbd.pread(512, 512) == DATA[512:1024]


def test_a_server_that_a_daemon_cannot_do_without_is_revived_though_the_copy_is_whole(
    plane: Plane, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Daemons, "bring_near", lambda *_: False)  # as one that an earlier version has started
    connection = opened(plane, head(plane))
    complete(plane)
    origin.down = True
    (pid,) = servers(plane)
    with client(connection) as nbd:
        os.kill(pid, signal.SIGKILL)
        assert nbd.pread(512, 0) == DATA[:512]
    same(connection)
    assert servers(plane) != [pid]
    plane.backend.withdraw(plane.volume, "a1")
    assert not servers(plane)


def test_a_server_that_died_while_nobody_was_there_is_started_again(plane: Plane, origin: Origin) -> None:
    connection = opened(plane, head(plane))
    plane.backend.close()
    (pid,) = servers(plane)
    with client(connection) as nbd, ThreadPoolExecutor(1) as other:
        os.kill(pid, signal.SIGKILL)
        late = other.submit(nbd.pread, 512, 0)
        assert nbd_answers_nothing_for(late, 4.0)
        plane.backend = backend(plane, origin)
        assert late.result(20) == DATA[:512]


def test_what_was_not_durable_is_fetched_again_after_a_reboot(plane: Plane, origin: Origin) -> None:
    plane.backend.fill_copy(NAME, 0)
    plane.backend.settle_copy(NAME)
    plane.backend.fill_copy(NAME, 1)
    page = plane.directory / "state" / (NAME + ".book")
    assert page.read_bytes()[PAGE : PAGE + 3] == bytes([DURABLE, PRESENT, 0])
    before = page.read_bytes()
    boot = Book(page).file().read(64)[24:60]
    page.write_bytes(before.replace(boot, b"another-boot".ljust(36)))
    data = plane.path(Layer(NAME, Format.RAW, SIZE))
    with data.open("r+b") as file:
        file.seek(CHUNK_BYTES)
        file.write(b"torn")
    again = backend(plane, origin)
    assert list(again.missing(NAME)) == [1, 2, 3]
    plane.backend = again
    same(opened(plane, head(plane)))


def test_a_qcow2_copy_opens_once_it_is_primed(plane: Plane, origin: Origin, tmp_path: Path) -> None:
    raw, image = tmp_path / "raw", tmp_path / "qcow2"
    raw.write_bytes(DATA + bytes(-len(DATA) % 512))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image], check=True)
    origin.data = image.read_bytes()
    name, layer = "copies/other-image/m-1", Layer("copies/other-image/m-1", Format.QCOW2, len(DATA))
    plane.backend.make_copy(name, len(origin.data), digests_of(origin.data))
    plane.backend.prime_copy(layer)
    origin.gate.clear()  # opening asks for nothing more
    connection = opened(plane, plane.layer(Format.QCOW2, layer, "create-1", len(DATA)))
    origin.gate.set()
    same(connection)


def test_a_detached_volume_on_it_can_be_extended(plane: Plane, origin: Origin) -> None:
    layer = head(plane)
    plane.backend.extend(layer, SIZE + (1 << 20))
    assert not servers(plane)
    with client(opened(plane, Layer(layer.name, layer.format, SIZE + (1 << 20), layer.parent))) as nbd:
        assert nbd.pread(512, SIZE) == bytes(512)


def test_deleting_leaves_nothing_and_lets_fetchers_go(plane: Plane, origin: Origin) -> None:
    origin.gate.clear()
    with ThreadPoolExecutor(1) as other:
        late = other.submit(plane.backend.fill_copy, NAME, 0)
        assert eventually(lambda: 0 in origin.asked)
        plane.backend.delete(NAME)
        origin.gate.set()
        late.result(20)
    assert not list((plane.directory / "state" / "copies").rglob("*"))
    assert NAME not in plane.backend.layers()


def test_poured_bytes_are_whole_or_not_there(plane: Plane) -> None:
    name = "copies/other-image/m-1"

    def breaks() -> Iterator[bytes]:
        yield DATA[:100_000]
        raise OSError("the line is dead")

    with pytest.raises(OSError, match="dead"):
        plane.backend.pour_copy(name, SIZE, breaks())
    assert not plane.path(Layer(name, Format.RAW, SIZE)).exists()
    pieces = (DATA[at : at + 100_000] for at in range(0, SIZE, 100_000))
    plane.backend.pour_copy(name, SIZE, pieces)
    assert plane.backend.missing(name) == []
    assert plane.path(Layer(name, Format.RAW, SIZE)).read_bytes() == DATA
