"""Real block devices: made, shared, removed, and found again from the machine alone."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.core.errors import Refused
from moorage.core.ids import new_uuid
from moorage.drivers.connectors.loop import DeviceFailed, FlushFailed, LoopDevices
from tests.drivers.loops import MIB, Rig, left, read, run, write

pytestmark = pytest.mark.root


@pytest.fixture
def rig(state_dir: Path) -> Iterator[Rig]:
    rig = Rig(state_dir)
    yield rig
    rig.close()
    assert left(state_dir) == []


def test_a_device_is_a_block_device_of_the_volume(rig: Rig) -> None:
    volume = rig.volume()
    attachment, device = rig.attach(volume)
    assert re.fullmatch(r"/dev/loop\d+", device)
    write(device, b"a", 3)
    assert read(device, 3) == b"a" * MIB
    assert run("blockdev", "--getsize64", device).strip() == str(64 * MIB)
    rig.detach(attachment)
    assert left(rig.state) == []
    _, again = rig.attach(volume)
    assert read(again, 3) == b"a" * MIB


def test_it_goes_past_the_page_cache_and_its_server_dumps_no_core(rig: Rig) -> None:
    attachment, device = rig.attach(rig.volume())
    assert Path(f"/sys/block/{Path(device).name}/loop/dio").read_text().strip() == "1"
    assert re.search(r"Max core file size\s+0", Path(f"/proc/{rig.server(attachment)}/limits").read_text())


def test_its_server_outlives_us_and_never_has_the_host_lock(state_dir: Path, rig: Rig) -> None:
    lock = os.open(state_dir / "host.lock", os.O_CREAT | os.O_RDWR)
    rig.devices = LoopDevices(state_dir / "dev", lock)
    attachment, _ = rig.attach(rig.volume())
    server = rig.server(attachment)
    os.close(lock)
    assert os.getsid(server) != os.getsid(0)
    assert not any("host.lock" in os.readlink(fd) for fd in Path(f"/proc/{server}/fd").iterdir())


def test_connecting_twice_is_connecting_once(rig: Rig) -> None:
    attachment, uri = rig.publish(rig.volume())
    first = rig.devices.connect(attachment, uri, read_only=False)
    server = rig.server(attachment)
    assert rig.devices.connect(attachment, uri, read_only=False) == first
    assert rig.server(attachment) == server


def test_another_address_is_another_server_behind_the_attachment(rig: Rig) -> None:
    volume = rig.volume()
    attachment, uri = rig.publish(volume)
    rig.devices.connect(attachment, uri, read_only=False)
    old = rig.server(attachment)
    _, other = rig.publish(volume, read_only=True)
    device = rig.devices.connect(attachment, other, read_only=True)
    assert rig.server(attachment) != old
    assert rig.devices.present() == {attachment: device}


def test_disconnecting_twice_is_disconnecting_once(rig: Rig) -> None:
    attachment, _ = rig.attach(rig.volume())
    rig.devices.disconnect(attachment)
    rig.devices.disconnect(attachment)
    rig.devices.disconnect(new_uuid())
    assert left(rig.state) == []


def test_a_read_only_device_refuses_writes_while_its_sibling_writes(rig: Rig) -> None:
    volume = rig.volume()
    _, writer = rig.attach(volume)
    _, reader = rig.attach(volume, read_only=True)
    assert writer != reader
    assert run("blockdev", "--getro", reader).strip() == "1"
    with pytest.raises(OSError, match=r"Operation not permitted|Read-only"):
        write(reader, b"x")
    run("blockdev", "--setrw", reader)  # the kernel's flag is a courtesy; the export refuses all the same
    with pytest.raises(OSError):
        write(reader, b"x")
    write(writer, b"w")
    assert read(reader) == b"w" * MIB


def test_what_there_is_is_found_on_the_machine_by_a_process_that_knows_nothing(rig: Rig) -> None:
    volume = rig.volume()
    one, device = rig.attach(volume)
    two, other = rig.attach(volume, read_only=True)
    run("mkfs.ext4", "-q", device)
    rig.state.joinpath("mnt").mkdir()
    run("mount", device, str(rig.state / "mnt"))
    found = LoopDevices(rig.state / "dev").present()
    assert {id: (d.path, d.read_only, d.alive, d.mounted) for id, d in found.items()} == {
        one: (device, False, True, str(rig.state / "mnt")),
        two: (other, True, True, None),
    }
    run("umount", str(rig.state / "mnt"))


def test_a_device_of_somebody_else_is_neither_listed_nor_touched(rig: Rig) -> None:
    theirs = rig.state / "theirs"
    theirs.write_bytes(bytes(MIB))
    foreign = run("losetup", "--find", "--show", str(theirs)).strip()
    try:
        attachment, _ = rig.attach(rig.volume())
        assert set(rig.devices.present()) == {attachment}
        rig.devices.disconnect(attachment)
        assert run("losetup", "--noheadings", "--output", "BACK-FILE", foreign).strip() == str(theirs)
    finally:
        run("losetup", "--detach", foreign)


def test_a_mounted_device_is_taken_away_with_what_was_written_to_it(rig: Rig) -> None:
    volume, mnt = rig.volume(), rig.state / "mnt"
    attachment, device = rig.attach(volume)
    run("mkfs.ext4", "-q", device)
    mnt.mkdir()
    run("mount", device, str(mnt))
    (mnt / "file").write_text("kept")
    rig.detach(attachment)
    assert left(rig.state) == []
    assert not os.path.ismount(mnt)
    _, again = rig.attach(volume)
    run("mount", again, str(mnt))
    assert (mnt / "file").read_text() == "kept"
    run("umount", str(mnt))


def test_a_device_that_somebody_keeps_open_gives_errors_and_goes_with_him(rig: Rig) -> None:
    attachment, uri = rig.publish(rig.volume())
    device = rig.devices.connect(attachment, uri, read_only=False).path
    with open(device, "rb", buffering=0) as user:
        rig.devices.disconnect(attachment)
        assert left(rig.state) == []
        with pytest.raises(OSError):
            os.pread(user.fileno(), 4096, 32 * MIB)
        again = rig.devices.connect(attachment, uri, read_only=False)  # meanwhile it may come back, as another device
        assert again.path != device
        assert rig.devices.present() == {attachment: again}
        assert device in run("losetup", "--noheadings", "--output", "NAME")
    assert device not in run("losetup", "--noheadings", "--output", "NAME")


def test_an_export_that_is_not_there_leaves_nothing(rig: Rig) -> None:
    volume = rig.volume()
    _, uri = rig.publish(volume)
    with pytest.raises(DeviceFailed) as failure:
        rig.devices.connect(new_uuid(), uri.replace("///", "///0000"), read_only=False)
    assert "0000" not in str(failure.value), "an export's name is not for error texts"
    assert left(rig.state) == []


def test_flushing_waits_no_longer_than_asked_and_disconnecting_ends_what_hangs(rig: Rig) -> None:
    attachment, device = rig.attach(rig.volume())
    os.kill(rig.server(attachment), signal.SIGSTOP)
    writer = subprocess.Popen(["dd", "if=/dev/zero", f"of={device}", "bs=1M", "count=1", "status=none"])
    time.sleep(0.2)
    with pytest.raises(FlushFailed):
        rig.devices.flush(attachment, patience_s=0.3)
    rig.devices.disconnect(attachment)
    writer.wait(60)


def test_names_that_are_no_ids_are_refused(rig: Rig) -> None:
    with pytest.raises(Refused):
        rig.devices.connect("../../etc/passwd", "nbd+unix:///x", read_only=True)
