"""Devices whose server, daemon or maker is killed, and many processes that make devices at once: nothing is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.drivers.connectors.loop import LoopDevices
from tests.drivers.loops import MIB, Rig, left, read, run, write
from tests.patience import until

pytestmark = pytest.mark.root

CONNECT = """
import sys
from pathlib import Path
from moorage.drivers.connectors.loop import LoopDevices
devices = LoopDevices(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(devices.connect(sys.argv[2], sys.argv[3], read_only=False).path, flush=True)
"""

CYCLES = """
import sys
from pathlib import Path
from moorage.drivers.connectors.loop import LoopDevices
devices = LoopDevices(Path(sys.argv[1]))
seen = set()
for cycle in range(5):
    for pair in sys.argv[2:]:
        attachment, uri = pair.split("=", 1)
        device = devices.connect(attachment, uri, read_only=False)
        with open(device.path, "r+b", buffering=0) as file:
            file.write(attachment.encode().ljust(4096))
        devices.flush(attachment)
        with open(device.path, "rb", buffering=0) as file:
            assert file.read(4096) == attachment.encode().ljust(4096), "somebody else's device"
        devices.disconnect(attachment)
"""


@pytest.fixture
def rig(state_dir: Path) -> Iterator[Rig]:
    rig = Rig(state_dir)
    yield rig
    rig.close()
    assert left(state_dir) == []


def died(rig: Rig, attachment: str) -> None:
    """Wait until the device is known to be dead."""
    until(lambda: not rig.devices.present()[attachment].alive)


def test_a_killed_server_is_seen_cleared_and_replaced_while_its_sibling_goes_on(rig: Rig) -> None:
    volume = rig.volume()
    attachment, uri = rig.publish(volume)
    device = rig.devices.connect(attachment, uri, read_only=False).path
    sibling, other = rig.attach(volume)
    write(device, b"a")
    os.kill(rig.server(attachment), signal.SIGKILL)
    died(rig, attachment)
    with pytest.raises(OSError):
        write(device, b"b")
    assert read(other) == b"a" * MIB
    again = rig.devices.connect(attachment, uri, read_only=False)
    assert read(again.path) == b"a" * MIB
    assert set(rig.devices.present()) == {attachment, sibling}


def test_a_killed_server_under_a_mounted_file_system_leaves_nothing(rig: Rig) -> None:
    attachment, device = rig.attach(rig.volume())
    run("mkfs.ext4", "-q", device)
    mnt = rig.state / "mnt"
    mnt.mkdir()
    run("mount", device, str(mnt))
    (mnt / "file").write_bytes(b"lost" * 1000)
    os.kill(rig.server(attachment), signal.SIGKILL)
    died(rig, attachment)
    rig.devices.disconnect(attachment)
    assert left(rig.state) == []
    assert not os.path.ismount(mnt)


def test_a_killed_daemon_gives_errors_and_leaves_a_device_that_can_be_removed(rig: Rig) -> None:
    volume = rig.volume()
    attachment, device = rig.attach(volume)
    write(device, b"a")
    os.kill(rig.daemon(volume), signal.SIGKILL)
    with pytest.raises(OSError):
        write(device, b"b")
    rig.devices.disconnect(attachment)
    assert left(rig.state) == []


def test_a_fence_under_load_leaves_nothing(rig: Rig) -> None:
    volume = rig.volume()
    attachment, device = rig.attach(volume)
    _, sibling = rig.attach(volume, read_only=True)
    fio = subprocess.Popen(
        f"fio --name=w --filename={device} --rw=randwrite --bs=4k --iodepth=8 --ioengine=libaio --direct=1 "
        "--time_based --runtime=30 --size=32M",
        shell=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(1)
    rig.backend.withdraw(volume, attachment)
    assert fio.wait(20) != 0
    assert len(read(sibling)) == MIB
    rig.devices.disconnect(attachment)
    assert not any(attachment in thing for thing in left(rig.state))


@pytest.mark.parametrize("after_ms", [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 24, 30, 40, 60])
def test_a_maker_killed_on_the_way_is_succeeded(rig: Rig, after_ms: int) -> None:
    attachment, uri = rig.publish(rig.volume())
    words = [sys.executable, "-c", CONNECT, str(rig.state / "dev"), attachment, uri]
    maker = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert maker.stdout is not None and maker.stdin is not None
    maker.stdout.readline()
    maker.stdin.write(b"\n")
    maker.stdin.flush()
    time.sleep(after_ms / 1000)
    maker.kill()
    maker.wait()
    device = rig.devices.connect(attachment, uri, read_only=False)
    write(device.path, b"x")
    assert rig.devices.present() == {attachment: device}
    rig.devices.disconnect(attachment)
    assert left(rig.state) == []


@pytest.mark.slow
def test_eight_processes_at_once_never_get_each_others_devices(rig: Rig) -> None:
    shared = rig.volume()
    volumes = [rig.volume() for _ in range(8)]
    words = []
    for volume in volumes:
        words.append(["=".join(rig.publish(one)) for one in ([volume, shared] if volume == volumes[0] else [volume])])
    makers = [subprocess.Popen([sys.executable, "-c", CYCLES, str(rig.state / "dev"), *pairs]) for pairs in words]
    assert [maker.wait(120) for maker in makers] == [0] * 8
    assert left(rig.state) == []
    assert LoopDevices(rig.state / "dev").present() == {}
