"""kill -9 of the control process at any line: daemons live on, are adopted, and nothing is left that nobody knows."""

import fcntl
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from moorage.drivers.backends.files import FilesBackend
from moorage.drivers.backends.files.daemon import Daemons
from moorage.volumes.backend import BackendUnsure, Cache, Connection, Door, Export, Format, Layer
from tests.drivers.clients import client
from tests.drivers.plane import Plane

PATTERN = b"steadily" * 512
WATCHED = tuple(f"/moorage/drivers/{part}" for part in ("backends/files/", "daemons.py", "processes.py", "programs.py"))
POINTS = 24
ENDS = (-signal.SIGKILL, 0)  #: the latter where waiting took fewer lines than in the rehearsal


def in_another_process(work: Callable[[], object]) -> int:
    """Run `work` in a child and return how it ended: 0, 1 for an error, or minus the signal."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(line: int, work: Callable[[], object]) -> int:
    """As above, with a kill -9 before the `line`-th line of ours."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if not any(part in frame.f_code.co_filename for part in WATCHED):
            return None
        if event == "line":
            count += 1
            if count == line:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    def traced() -> None:
        sys.settrace(trace)
        work()
        sys.settrace(None)

    return in_another_process(traced)


def lines_of(work: Callable[[], object], answer: Path) -> int:
    """How many lines of ours `work` runs through."""
    seen = []

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if not any(part in frame.f_code.co_filename for part in WATCHED):
            return None
        if event == "line":
            seen.append(1)
        return trace

    def counted() -> None:
        sys.settrace(trace)
        work()
        sys.settrace(None)
        answer.write_text(str(len(seen)))

    assert in_another_process(counted) == 0
    return int(answer.read_text())


def test_a_daemon_outlives_the_control_process_and_is_adopted(plane: Plane) -> None:
    head, first = plane.layer(Format.QCOW2), plane.export("a1", Door.SOCKET)

    def publish() -> None:
        plane.again().publish(first, head, Cache.BACK)
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_another_process(publish) == -signal.SIGKILL
    adopted = plane.again()
    assert adopted.survey()[plane.volume].exports == {"a1"}
    daemon = plane.daemon()
    with client(adopted.publish(first, head, Cache.BACK)) as nbd:
        nbd.pwrite(PATTERN, 0)
        second = plane.again()
        with client(second.publish(plane.export("a2"), head, Cache.BACK)) as sibling:
            assert sibling.pread(len(PATTERN), 0) == PATTERN
        second.withdraw(plane.volume, "a2")
        nbd.pwrite(PATTERN, len(PATTERN))
    assert plane.daemon() == daemon
    plane.again().withdraw(plane.volume, "a1")
    assert plane.empty()


@pytest.mark.parametrize("door", Door)
def test_publishing_can_be_killed_anywhere_and_repeated(plane: Plane, door: Door) -> None:
    head = plane.layer(Format.QCOW2)
    backend = plane.backend
    rehearsal = plane.export("a0", door)
    lines = lines_of(lambda: backend.publish(rehearsal, head, Cache.BACK), plane.directory / "lines")
    plane.again().clear(plane.volume)
    for point in range(1, lines, max(1, lines // POINTS)):
        export = plane.export("a1", door)
        assert killed_at(point, lambda export=export: backend.publish(export, head, Cache.BACK)) in ENDS
        address = published_again(plane, export, head)
        key = plane.key(export) if door is Door.TLS else None
        with client(address, key) as nbd:
            nbd.pwrite(PATTERN, 0)
        plane.again().withdraw(plane.volume, "a1")
        assert plane.empty(), f"after line {point}: {plane.leftovers()}"


def published_again(plane: Plane, export: Export, head: Layer) -> Connection:
    """A daemon that is still dying with who has started it is not known to be unusable before it is asked."""
    try:
        return plane.again().publish(export, head, Cache.BACK)
    except BackendUnsure:
        return plane.again().publish(export, head, Cache.BACK)


@pytest.mark.parametrize("undo", [FilesBackend.withdraw, FilesBackend.clear])
def test_publishing_can_be_killed_anywhere_and_undone(plane: Plane, undo: Callable[..., None]) -> None:
    head = plane.layer(Format.RAW)
    backend = plane.backend
    rehearsal = plane.export("a0", Door.SOCKET)
    lines = lines_of(lambda: backend.publish(rehearsal, head, Cache.BACK), plane.directory / "lines")
    plane.again().clear(plane.volume)
    for point in range(2, lines, max(1, lines // POINTS)):
        export = plane.export("a1", Door.SOCKET)
        assert killed_at(point, lambda export=export: backend.publish(export, head, Cache.BACK)) in ENDS
        again = plane.again()
        again.survey()
        undo(again, plane.volume, *(["a1"] if undo is FilesBackend.withdraw else []))
        if plane.volume in again.survey():  # a daemon that was started and nobody's yet
            assert again.survey()[plane.volume].exports == frozenset()
            again.clear(plane.volume)
        assert plane.empty(), f"after line {point}: {plane.leftovers()}"


def test_withdrawing_can_be_killed_anywhere_and_repeated(plane: Plane) -> None:
    head = plane.layer(Format.QCOW2)
    backend = plane.backend
    lines = 0
    for step in range(POINTS + 1):
        writer = plane.export("writer", Door.SOCKET)
        with client(backend.publish(writer, head, Cache.BACK)) as nbd:
            nbd.pwrite(bytes([step]) * 512, 0)
        if step == 0:
            lines = lines_of(lambda: backend.withdraw(plane.volume, "writer"), plane.directory / "lines")
            continue
        point = 1 + (step - 1) * (lines - 1) // POINTS
        assert killed_at(point, lambda: backend.withdraw(plane.volume, "writer")) in ENDS
        plane.again().withdraw(plane.volume, "writer")
        if plane.volume in plane.again().survey():
            plane.again().clear(plane.volume)
        assert plane.empty(), f"after line {point}: {plane.leftovers()}"
        with client(plane.publish("reader", head, read_only=True)) as nbd:
            assert nbd.pread(512, 0) == bytes([step]) * 512
        backend.withdraw(plane.volume, "reader")


def test_halting_can_be_killed_anywhere_and_nothing_is_lost(plane: Plane) -> None:
    head, writer = plane.layer(Format.QCOW2), plane.export("writer", Door.SOCKET)
    lines = 0
    for step in range(POINTS + 1):
        with client(plane.again().publish(writer, head, Cache.BACK)) as nbd:
            nbd.pwrite(bytes([step]) * 512, 0)
        if step == 0:
            lines = lines_of(lambda: plane.backend.halt(plane.volume), plane.directory / "lines")
        else:
            point = 1 + (step - 1) * (lines - 1) // POINTS
            assert killed_at(point, lambda: plane.backend.halt(plane.volume)) in ENDS
        served = plane.again().survey()[plane.volume]
        assert served.alive or served.lossless
        with client(plane.again().publish(writer, head, Cache.BACK)) as nbd:
            assert nbd.pread(512, 0) == bytes([step]) * 512
    plane.again().withdraw(plane.volume, "writer")
    assert plane.empty()


def test_who_was_flushed_lost_nothing_though_his_withdrawal_was_killed_at_its_very_end(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon has ended, and its record is still there."""
    head, writer = plane.layer(Format.QCOW2), plane.export("writer", Door.SOCKET)
    with client(plane.backend.publish(writer, head, Cache.BACK)) as nbd:
        nbd.pwrite(PATTERN, 0)

    def withdraw() -> None:
        monkeypatch.setattr(Daemons, "forget", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        plane.again().withdraw(plane.volume, "writer")

    assert in_another_process(withdraw) == -signal.SIGKILL
    served = plane.again().survey()[plane.volume]
    assert (served.alive, served.exports, served.lossless) == (False, frozenset(), True)
    plane.again().withdraw(plane.volume, "writer", careful=True)
    assert plane.empty()


@pytest.mark.parametrize("kind", Format)
def test_creating_can_be_killed_anywhere_and_repeated(plane: Plane, kind: Format) -> None:
    path = plane.directory / "host.lock"

    def layer(step: int) -> Layer:
        return Layer(f"volumes/{plane.volume}/create-{step}", kind, 1 << 20)

    def create(step: int) -> None:
        lock = os.open(path, os.O_CREAT | os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX)  # free once the last helper of the one before has ended
        plane.again(lock=lock).create(layer(step))
        os.close(lock)

    lines = lines_of(lambda: create(0), plane.directory / "lines")
    for point in range(1, lines, max(1, lines // POINTS)):
        made = layer(point)
        assert killed_at(point, lambda point=point: create(point)) in ENDS
        create(point)
        create(point)
        assert plane.again().layers() == {made.name, layer(0).name}
        plane.again().delete(made.name)
