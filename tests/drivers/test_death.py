"""The death of a daemon: what is kept where the survey says so, and that nobody is resumed behind his back."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from moorage.drivers import daemons
from moorage.drivers.backends.files import qmp
from moorage.drivers.backends.files.problems import ServerDied
from moorage.volumes.backend import BackendUnsure, Cache, Connection, Door, Export, Format, Layer, Served
from tests.drivers.clients import ClientError, client, libnbd
from tests.drivers.plane import MIB, Plane
from tests.drivers.writers import Writers
from tests.patience import eventually

SIZE = 64 * MIB
WRITES = 500
PATTERN = b"too late" * 512


def head_of(plane: Plane, kind: str) -> Layer:
    if kind != "overlay":
        return plane.layer(Format(kind))
    return plane.layer(Format.QCOW2, parent=plane.layer(Format.RAW, part="parent-1"))


def killed_under_writes(plane: Plane, export: Export, head: Layer, cache: Cache) -> Writers:
    """Writers whose daemon was killed in the middle of it."""
    writers = Writers(plane.backend.publish(export, head, cache), SIZE)
    assert eventually(lambda: writers.acknowledged > WRITES and all(writer.acknowledged for writer in writers.all))
    os.kill(plane.daemon(), signal.SIGKILL)
    writers.join()
    return writers


def reboot(plane: Plane) -> None:
    """The machine has, as the record sees it."""
    record = plane.directory / "state" / "run" / "daemons" / f"{plane.volume}.json"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    record.write_text(record.read_text().replace(boot, "an earlier boot"))


def served(plane: Plane) -> Served:
    return plane.backend.survey()[plane.volume]


@pytest.mark.parametrize("door", [Door.PRIVATE, Door.SOCKET])
@pytest.mark.parametrize(
    ("kind", "cache"),
    [("raw", Cache.BACK), ("raw", Cache.THROUGH), ("qcow2", Cache.THROUGH), ("overlay", Cache.THROUGH)],
)
def test_every_acknowledged_write_survives_where_the_survey_says_so(
    plane: Plane, kind: str, cache: Cache, door: Door
) -> None:
    head, export = head_of(plane, kind), plane.export("a1", door)
    writers = killed_under_writes(plane, export, head, cache)
    assert served(plane) == Served(alive=False, exports=frozenset({"a1"}), head=head.name, lossless=True)
    plane.backend.clear(plane.volume)
    address = plane.backend.publish(export, head, cache)  # a replay, as the rows may ask for it
    assert writers.missing(address) == []


@pytest.mark.parametrize("kind", ["qcow2", "overlay"])
def test_where_writes_may_be_gone_nobody_is_resumed(plane: Plane, kind: str) -> None:
    head, export = head_of(plane, kind), plane.export("a1", Door.SOCKET)
    killed_under_writes(plane, export, head, Cache.BACK)
    assert served(plane) == Served(alive=False, exports=frozenset({"a1"}), head=head.name, lossless=False)
    with pytest.raises(ServerDied):
        plane.backend.publish(plane.export("a2"), head, Cache.BACK)
    with pytest.raises(ServerDied):
        plane.backend.publish(export, head, Cache.BACK)
    plane.backend.withdraw(plane.volume, "a1")
    assert plane.empty()
    second = plane.export("a1", Door.SOCKET)
    address = plane.backend.publish(second, head, Cache.BACK)
    with pytest.raises(ClientError), client(Connection(address.uri.replace(second.name, export.name))):
        pass


def test_a_flushed_write_survives_in_every_head(plane: Plane) -> None:
    head = head_of(plane, "overlay")
    with client(plane.publish("a1", head)) as nbd:
        nbd.pwrite(PATTERN, MIB)
        nbd.flush()
        os.kill(plane.daemon(), signal.SIGKILL)
    plane.backend.clear(plane.volume)
    with client(plane.publish("a2", head)) as nbd:
        assert nbd.pread(len(PATTERN), MIB) == PATTERN


def test_what_was_written_before_a_clean_detach_survives_any_later_crash(plane: Plane) -> None:
    head = head_of(plane, "overlay")
    address = plane.publish("writer", head)
    plane.publish("sibling", head)
    with client(address) as nbd:
        nbd.pwrite(PATTERN, MIB)
        nbd.shutdown()  # a clean disconnect, which flushes nothing
    plane.backend.withdraw(plane.volume, "writer")
    os.kill(plane.daemon(), signal.SIGKILL)
    plane.backend.clear(plane.volume)
    with client(plane.publish("later", head)) as nbd:
        assert nbd.pread(len(PATTERN), MIB) == PATTERN


def test_readers_alone_lose_nothing(plane: Plane) -> None:
    head = head_of(plane, "overlay")
    plane.publish("reader", head, Door.SOCKET, read_only=True)
    os.kill(plane.daemon(), signal.SIGKILL)
    assert eventually(lambda: not served(plane).alive)
    assert served(plane).lossless


def test_readers_whose_writing_sibling_lost_his_cache_are_not_resumed_even_after_he_left(plane: Plane) -> None:
    head = head_of(plane, "overlay")
    plane.publish("writer", head, Door.SOCKET)
    plane.publish("reader", head, Door.SOCKET, read_only=True)
    os.kill(plane.daemon(), signal.SIGKILL)
    assert eventually(lambda: not served(plane).alive)
    plane.backend.withdraw(plane.volume, "writer")
    assert served(plane) == Served(alive=False, exports=frozenset({"reader"}), head=head.name, lossless=False)


def test_after_a_reboot_only_write_through_is_lossless(plane: Plane) -> None:
    for part, kind, cache, expected in (
        ("create-1", Format.RAW, Cache.BACK, False),
        ("create-2", Format.RAW, Cache.THROUGH, True),
    ):
        head = plane.layer(kind, part=part)
        plane.backend.publish(plane.export("a1"), head, cache)
        os.kill(plane.daemon(), signal.SIGKILL)
        assert eventually(lambda: not served(plane).alive)
        reboot(plane)
        assert (served(plane).alive, served(plane).lossless) == (False, expected)
        plane.backend.clear(plane.volume)


def test_after_a_reboot_a_volume_that_was_halted_has_lost_nothing(plane: Plane) -> None:
    head, export = head_of(plane, "qcow2"), plane.export("a1", Door.TLS)
    with client(plane.backend.publish(export, head, Cache.BACK), plane.key(export)) as writer:
        writer.pwrite(PATTERN, 0)
        plane.backend.halt(plane.volume)
    reboot(plane)
    assert served(plane) == Served(alive=False, exports=frozenset(), head=head.name, lossless=True)
    with client(plane.again().publish(export, head, Cache.BACK), plane.key(export)) as again:
        assert again.pread(len(PATTERN), 0) == PATTERN


def test_the_death_of_a_daemon_ends_its_gates(plane: Plane) -> None:
    head = head_of(plane, "raw")
    plane.publish("a1", head, Door.SOCKET)
    plane.publish("a2", head, Door.TLS)
    os.kill(plane.daemon(), signal.SIGKILL)
    assert eventually(lambda: not served(plane).alive)
    assert plane.processes() == []


def test_an_attachment_whose_gate_died_is_not_usable_and_is_revived_by_publishing_it_again(plane: Plane) -> None:
    head, export = head_of(plane, "raw"), plane.export("a1", Door.TLS)
    address = plane.backend.publish(export, head, Cache.BACK)
    (gate,) = plane.processes(export.name)
    os.kill(gate, signal.SIGKILL)
    assert eventually(lambda: served(plane).exports == frozenset())
    assert plane.backend.publish(export, head, Cache.BACK) == address
    assert served(plane).exports == {"a1"}


@pytest.mark.parametrize("door", [Door.PRIVATE, Door.SOCKET])
@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_a_daemon_that_is_stopped_during_withdraw_is_killed_and_its_write_never_lands(
    plane: Plane, kind: str, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qmp, "PATIENCE_S", 1.0)
    head = head_of(plane, kind)
    address = plane.publish("a1", head, door)
    plane.publish("a2", head)
    daemon = plane.daemon()
    with client(address) as nbd:
        nbd.pwrite(b"\1" * len(PATTERN), 0)
        nbd.flush()
        os.kill(daemon, signal.SIGSTOP)
        nbd.aio_pwrite(libnbd.Buffer.from_bytearray(bytearray(PATTERN)), 0)
        if kind == "raw":
            plane.backend.withdraw(plane.volume, "a1")
        else:
            with pytest.raises(BackendUnsure):
                plane.backend.withdraw(plane.volume, "a1")
    assert not Path(f"/proc/{daemon}/exe").exists()
    found = served(plane)
    assert (found.alive, found.lossless, "a2" in found.exports) == (False, kind == "raw", True)
    plane.backend.withdraw(plane.volume, "a1")
    plane.backend.withdraw(plane.volume, "a2")
    assert plane.empty()
    time.sleep(0.2)
    with client(plane.publish("a3", head)) as nbd:
        assert nbd.pread(len(PATTERN), 0) == b"\1" * len(PATTERN)


def test_a_daemon_that_is_stopped_holds_up_neither_the_survey_nor_its_clearing(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qmp, "PATIENCE_S", 0.5)
    head = head_of(plane, "qcow2")
    plane.publish("a1", head, Door.SOCKET)
    os.kill(plane.daemon(), signal.SIGSTOP)
    assert served(plane).alive
    plane.backend.clear(plane.volume)
    assert plane.empty()


def test_a_copied_state_directory_has_no_part_in_the_originals_daemons(plane: Plane) -> None:
    import shutil

    head = head_of(plane, "raw")
    plane.publish("a1", head)
    copy = Plane(plane.directory / "copy")
    shutil.rmtree(copy.directory / "state")
    shutil.copytree(plane.directory / "state", copy.directory / "state")
    twin = copy.again().survey()[plane.volume]
    assert (twin.alive, twin.lossless) == (False, False)
    copy.again().clear(plane.volume)
    assert served(plane).alive
    assert replace(served(plane), head="") == Served(alive=True, exports=frozenset({"a1"}), head="", lossless=True)


def test_a_daemon_that_dies_before_its_first_word_is_followed_by_another(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QEMU 7.2 was seen to crash while it begins."""
    go, dead = daemons.Daemon.go, []

    def dies(daemon: daemons.Daemon) -> None:
        go(daemon)
        if not dead:
            dead.append(daemon.identity.pid)
            os.kill(daemon.identity.pid, signal.SIGKILL)

    monkeypatch.setattr(daemons.Daemon, "go", dies)
    with client(plane.publish("a1", head_of(plane, "qcow2"), Door.SOCKET)) as nbd:
        assert nbd.pread(512, 0) == bytes(512)
    assert dead and plane.daemon() not in dead


def test_a_daemon_that_always_dies_before_its_first_word_is_an_error(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = daemons.Daemon.go

    def dies(daemon: daemons.Daemon) -> None:
        go(daemon)
        os.kill(daemon.identity.pid, signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(daemons.Daemon, "go", dies)
        with pytest.raises(BackendUnsure):
            plane.publish("a1", head_of(plane, "qcow2"), Door.SOCKET)
        assert plane.empty()
