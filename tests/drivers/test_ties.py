"""Programs that serve one connection do not outlive the process that they serve, wherever that is killed."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from moorage.drivers import chains
from moorage.drivers.stores.volume.doors import NoWayIn, open_door
from tests.patience import eventually

pytestmark = pytest.mark.skipif(shutil.which("qemu-nbd") is None, reason="qemu-nbd is not installed")

BYTES = bytes(range(256)) * 4096
READ = """
from moorage.drivers import chains
import sys
chains.Reader({"driver": "raw", "file": {"driver": "file", "filename": sys.argv[1]}}, 0, 4096)
"""
BRIDGE = """
from moorage.drivers.stores.volume.doors import open_door
import sys
kept = open_door({"driver_volume_type": "local", "device_path": sys.argv[1], "access_mode": "ro"}, "")
"""
FIRST = """
import os, time
from moorage.drivers.backends.files import nbd
from moorage.drivers.stores.volume import nbd as other
def die(*_):
    time.sleep(0.5)
    os.kill(os.getpid(), 9)
nbd.Client.__init__ = other.Connection.__init__ = die
"""
LATE = """
import os
os.kill(os.getpid(), 9)
"""
SUDDEN = """
import os, subprocess
from moorage.drivers import daemons
begin, go = subprocess.Popen.__init__, daemons.Daemon.go
def begin_and_die(self, words, *more, **named):
    begin(self, words, *more, **named)
    if "LISTEN_PID" in " ".join(words) and "$!" in " ".join(words) and "read go" not in " ".join(words):
        os.kill(os.getpid(), 9)
def go_and_die(self):
    go(self)
    os.kill(os.getpid(), 9)
subprocess.Popen.__init__, daemons.Daemon.go = begin_and_die, go_and_die
"""


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    path.write_bytes(BYTES)
    return path


@pytest.mark.parametrize("work", [READ, BRIDGE], ids=["reader", "bridge"])
@pytest.mark.parametrize(
    ("before", "after"), [(SUDDEN, ""), (FIRST, ""), ("", LATE)], ids=["just started", "not greeted", "open"]
)
def test_a_program_ends_with_the_process_that_it_serves(disk: Path, work: str, before: str, after: str) -> None:
    killed = subprocess.run([sys.executable, "-c", before + work + after, str(disk)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert _gone(disk)


def test_nothing_is_left_of_one_that_does_not_begin(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    with pytest.raises(OSError):
        chains.Reader({"driver": "raw", "file": {"driver": "file", "filename": str(nothing)}}, 0, 4096)
    with pytest.raises(NoWayIn, match="nothing"):
        open_door({"driver_volume_type": "local", "device_path": str(nothing), "access_mode": "ro"}, "")
    assert _gone(nothing)


def test_nothing_is_left_of_one_that_is_closed(disk: Path) -> None:
    reader = chains.Reader({"driver": "raw", "file": {"driver": "file", "filename": str(disk)}}, 0, len(BYTES))
    assert b"".join(reader) == BYTES
    connection = open_door({"driver_volume_type": "local", "device_path": str(disk), "access_mode": "ro"}, "")
    assert connection.read(256, 4096).result() == BYTES[256 : 256 + 4096]
    assert _programs(disk)
    connection.close()
    assert _gone(disk)


def _gone(disk: Path) -> bool:
    return eventually(lambda: not _programs(disk))


def _programs(disk: Path) -> list[bytes]:
    """The command lines, of whatever process, in which the disk is named."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if str(disk).encode() in words:
            found.append(words)
    return found
