"""
Acknowledged writes, while storage daemons are killed at random moments: an attachment either goes on with every one of
them, or fails loudly, with a new generation and everything that was flushed.

fio writes and verifies, a file system is made, and recorders write, zero, discard and flush; all at once, on every kind
of head, through block devices and through gates. `make chaos` does it for many more rounds.
"""

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage.volumes.backend import Cache
from tests.drivers.loops import run
from tests.flows import heads, promises
from tests.flows.drift import Drift, V, drifting
from tests.flows.promises import CLUSTER, MIB, Device, Disk, Network, Patient, Record

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(3000)]

CHAOS = "MOORAGE_CHAOS" in os.environ
ROUNDS = int(os.environ.get("MOORAGE_KILLS", "25" if CHAOS else "1"))
SEED = os.environ.get("MOORAGE_TEST_SEED", "1")

# The parts of a volume, in MiB: a file system, what fio has flushed, what fio is writing, what recorders change.
FILES, FLUSHED, BUSY, RECORDED, BLOCKS = (0, 32), (64, 1), (96, 2), 128, 128

SHOWN = range(RECORDED * MIB, RECORDED * MIB + BLOCKS * CLUSTER, promises.BLOCK)

# fmt: off
HEADS = (
    # head       cache          every acknowledged write survives
    ("raw",      Cache.BACK,    True),
    ("overlay",  Cache.BACK,    False),
    ("qcow2",    Cache.THROUGH, True),
    ("qcow2",    Cache.BACK,    False),
    ("raw",      Cache.THROUGH, True),
    ("overlay",  Cache.THROUGH, True),
)
# fmt: on


def fio(name: str, part: tuple[int, int], target: list[str], *more: str) -> list[str]:
    """The words of a fio that writes random blocks of a part and can verify them."""
    where = [f"--offset={part[0]}m", f"--size={part[1]}m", "--bs=4k", "--iodepth=8", "--rw=randwrite"]
    return ["fio", f"--name={name}", *target, *where, "--verify=crc32c", "--verify_state_save=0", *more]


class Trial:
    """One volume, its one attachment, and all who use it."""

    def __init__(self, drift: Drift, kind: str, cache: Cache, door: str) -> None:
        self._drift, self._lossless, self._gated = drift, kind == "raw" or cache is Cache.THROUGH, door == "gate"
        self._resumes = self._lossless and self._gated
        self.volume = heads.volume(drift, kind, cache, SHOWN)
        self.record = Record(RECORDED * MIB, BLOCKS, heads.BELOW if kind == "overlay" else promises.ZEROES)
        self._connector: dict[str, Any] = {"nbd": True} if self._gated else {"local": True}
        self.attachment = drift.attach(self.volume, **self._connector)
        self._patient: Patient | None = None
        self._log = drift.cloud.app.place.state / "fio.log"
        self.resumed = 0

    def close(self) -> None:
        if self._patient is not None:
            self._patient.close()

    def _address(self) -> str:
        """A device's path, or the address of a proxy that connects again if it is given the time."""
        if not self._gated:
            return self._drift.device(self.attachment)
        if self._patient is None:
            socket = self._drift.cloud.app.place.sockets / "patient"
            uri = self._drift.row(self.attachment)["connection"]["uri"]
            self._patient = Patient(uri, socket, retries=30 if self._resumes else 1)
        return self._patient.uri

    def _disk(self) -> Disk:
        return Network(self._address()) if self._gated else Device(self._address())

    def _target(self) -> list[str]:
        if self._gated:
            return ["--ioengine=nbd", f"--uri={self._address()}"]
        return ["--ioengine=libaio", "--direct=1", f"--filename={self._address()}"]

    def round(self, number: int, chance: random.Random) -> None:
        """Write, be killed, and look."""
        before = self._drift.row(self.attachment)["generation"]
        run(*fio("flushed", FLUSHED, self._target(), f"--randseed={number}", "--do_verify=0", "--end_fsync=1"))
        if not self._gated:
            run("mkfs.ext4", "-q", "-F", self._address(), f"{FILES[1]}M")
        disks = [self._disk() for _ in range(Record.THREADS)]
        look = self._disk()
        asleep = _sample(look)
        recorders = self.record.begin(disks, f"{SEED}-{number}")
        words = fio("busy", BUSY, self._target(), f"--randseed={number}", "--rate_iops=400", "--fsync=64")
        with self._log.open("wb") as log:
            busy = subprocess.Popen(words, stdout=log, stderr=log)
        self._drift.until(lambda: all(recorder.changes > 20 for recorder in recorders))
        self._drift.until(lambda: _sample(look) != asleep)
        look.close()
        with pytest.raises(subprocess.TimeoutExpired):
            busy.wait(chance.uniform(0.0, 0.8))
        os.kill(self._drift.daemon(self.volume), signal.SIGKILL)
        self._drift.until(self._settled)
        if self._resumes:
            self._went_on(before, busy, recorders)
        else:
            self._failed_loudly(before, busy, recorders)
        for disk in disks:
            disk.close()
        self._look(number)

    def _settled(self) -> bool:
        """Whether somebody has seen to the death."""
        served = self._drift.backend.survey().get(self.volume)
        if self._drift.row(self.attachment)["state"] == "error_attaching":
            return served is None
        return served is not None and served.alive and self.attachment in served.exports

    def _went_on(self, before: int, busy: "subprocess.Popen[bytes]", recorders: list[promises.Recorder]) -> None:
        """The holder noticed nothing but a pause, and fio finds every byte that it was told had been written."""
        row = self._drift.row(self.attachment)
        assert (row["state"], row["generation"]) == ("attached", before)
        assert busy.wait(60) == 0, self._log.read_text()
        for recorder in recorders:
            recorder.stop()
            assert not recorder.failed
        self.resumed += 1

    def _failed_loudly(self, before: int, busy: "subprocess.Popen[bytes]", recorders: list[promises.Recorder]) -> None:
        """Every client saw an error, the row and the host say so, and an update revives it."""
        row = self._drift.row(self.attachment)
        assert (row["state"], row["generation"], row["export"]) == ("error_attaching", before + 1, None)
        assert row["problem"]
        assert self._drift.status(self.volume) == "in-use"
        assert self.attachment not in self._drift.rooms.devices.present()
        assert busy.wait(60) != 0, self._log.read_text()
        for recorder in recorders:
            recorder.join(60)
            assert recorder.failed
        self.close()
        self._patient = None
        self._drift.update(self.attachment, **self._connector)
        assert self._drift.row(self.attachment)["generation"] == before + 2
        action = f"/volume/v3/attachments/{self.attachment}/action"
        assert self._drift.cloud.call("POST", action, {"os-complete": {}}, headers=V).status == 204

    def _look(self, number: int) -> None:
        """What was promised is there."""
        disk = self._disk()
        assert self.record.wrong(disk, acknowledged=self._lossless) == []
        disk.close()
        run(*fio("flushed", FLUSHED, self._target(), f"--randseed={number}", "--verify_only"))
        if not self._gated:
            part = self._drift.cloud.app.place.sockets / "part"
            run("dd", f"if={self._address()}", f"of={part}", "bs=1M", f"count={FILES[1]}", "iflag=direct")
            run("e2fsck", "-fn", str(part))
            part.unlink()


def _sample(disk: Disk) -> list[bytes]:
    """What shows that fio has begun."""
    return [disk.read(BUSY[0] * MIB + index * CLUSTER, promises.BLOCK) for index in range(BUSY[1] * MIB // CLUSTER)]


@pytest.fixture
def drift(state_dir: Path) -> Iterator[Drift]:
    with drifting(state_dir, watched=True) as drift:
        yield drift


@pytest.mark.parametrize("door", ["gate", "device"])
@pytest.mark.parametrize(("kind", "cache", "lossless"), HEADS if CHAOS else HEADS[:3])
def test_a_killed_daemon_costs_no_acknowledged_write_silently(
    drift: Drift, kind: str, cache: Cache, lossless: bool, door: str
) -> None:
    trial, chance = Trial(drift, kind, cache, door), random.Random(f"{SEED}{kind}{cache}{door}")
    try:
        for number in range(1, ROUNDS + 1):
            trial.round(number, chance)
    finally:
        trial.close()
    assert trial.resumed == (ROUNDS if lossless and door == "gate" else 0)
