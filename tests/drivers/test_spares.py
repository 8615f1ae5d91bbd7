"""Spare daemons: used by the next volume, taken over by the next process, ended when they are nobody's."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from moorage.drivers.backends.files import FilesBackend
from moorage.volumes.backend import Cache, Door, Format, Layer
from tests.drivers.clients import client
from tests.drivers.plane import Plane
from tests.drivers.test_crash import ENDS, POINTS, killed_at, lines_of
from tests.patience import eventually

PATTERN = b"to spare" * 512


def spares(plane: Plane) -> list[int]:
    """Pids of the spare daemons of this plane, by their sockets' owner in the records."""
    import json

    directory = plane.directory / "state" / "run" / "spares"
    return [json.loads(path.read_text())["process"]["pid"] for path in directory.glob("*.json")]


def record_of(plane: Plane) -> Path:
    return plane.directory / "state" / "run" / "daemons" / f"{plane.volume}.json"


def warmed(plane: Plane) -> FilesBackend:
    """A backend with one spare ready."""
    backend = plane.again(spares=1)
    warm(backend)
    assert len(spares(plane)) == 1
    return backend


def warm(backend: FilesBackend) -> None:
    with backend._spares._guard:
        backend._spares._known()
        backend._spares._fill()
    assert backend._spares._filling is not None
    backend._spares._filling.join()


def test_the_next_volume_gets_the_spare_and_another_one_takes_its_place(plane: Plane) -> None:
    head = plane.layer(Format.QCOW2)
    backend = warmed(plane)
    (spare,) = spares(plane)
    with client(backend.publish(plane.export("a1", Door.SOCKET), head, Cache.BACK)) as nbd:
        nbd.pwrite(PATTERN, 0)
    assert json.loads(record_of(plane).read_text())["process"]["pid"] == spare
    assert eventually(lambda: len(spares(plane)) == 1 and spare not in spares(plane))
    backend.withdraw(plane.volume, "a1")
    assert not Path(f"/proc/{spare}/exe").exists()
    backend.close()
    assert plane.empty()


def test_a_spare_that_died_is_not_waited_for(plane: Plane) -> None:
    head = plane.layer(Format.RAW)
    backend = warmed(plane)
    (spare,) = spares(plane)
    os.kill(spare, signal.SIGKILL)
    assert eventually(lambda: not Path(f"/proc/{spare}/exe").exists())
    with client(backend.publish(plane.export("a1"), head, Cache.BACK)) as nbd:
        nbd.pwrite(PATTERN, 0)
    backend.withdraw(plane.volume, "a1")
    backend.close()
    assert plane.empty()


def test_closing_ends_what_a_predecessor_left(plane: Plane) -> None:
    warmed(plane)
    (spare,) = spares(plane)
    plane.again(spares=1).close()
    assert not Path(f"/proc/{spare}/exe").exists()
    assert plane.empty()


def opened(pid: int) -> set[str]:
    return {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()}


def test_backends_that_share_a_directory_of_sockets_do_not_take_each_others_spares(plane: Plane) -> None:
    roots = [plane.directory / "state", plane.directory / "other"]
    roots[1].mkdir()
    backends = [
        FilesBackend(root, plane.directory / "run", spares=1, name=name)
        for root, name in zip(roots, ("files", "other"), strict=True)
    ]
    for backend in backends:
        warm(backend)
    heads = [Layer(f"volumes/{plane.volume}{n}/create-1", Format.RAW, 1 << 20) for n in range(2)]
    for n, (root, backend, head) in enumerate(zip(roots, backends, heads, strict=True)):
        (spare,) = [json.loads(path.read_text())["process"]["pid"] for path in root.glob("run/spares/*.json")]
        backend.create(head)
        export = replace(plane.export("a1"), volume=f"{plane.volume}{n}")
        with client(backend.publish(export, head, Cache.BACK)) as nbd:
            nbd.pwrite(PATTERN, 0)
        named = json.loads((root / "run" / "daemons" / f"{plane.volume}{n}.json").read_text())["process"]["pid"]
        assert named == spare and str(root / head.name) in opened(named)
    for n, backend in enumerate(backends):
        backend.withdraw(f"{plane.volume}{n}", "a1")
        backend.close()
    assert plane.empty()


def test_what_a_release_before_left_under_names_that_backends_shared_is_ended(plane: Plane) -> None:
    warmed(plane)
    (record,) = (plane.directory / "state" / "run" / "spares").glob("*.json")
    (spare,) = spares(plane)
    record.write_text(record.read_text().replace(record.stem, "spare-0"))
    record.rename(record.with_name("spare-0.json"))
    backend = warmed(plane)
    assert spare not in spares(plane) and not Path(f"/proc/{spare}/exe").exists()
    backend.close()
    assert plane.empty()


def test_publishing_with_a_spare_can_be_killed_anywhere_and_repeated(plane: Plane) -> None:
    head = plane.layer(Format.QCOW2)
    warmed(plane)
    rehearsal = plane.export("a0", Door.SOCKET)
    lines = lines_of(lambda: plane.again(spares=1).publish(rehearsal, head, Cache.BACK), plane.directory / "lines")
    plane.again().clear(plane.volume)
    for point in range(1, lines, max(1, lines // POINTS)):
        warmed(plane)
        (spare,) = spares(plane)
        export = plane.export("a1", Door.SOCKET)
        work = lambda export=export: plane.again(spares=1).publish(export, head, Cache.BACK)  # noqa: E731
        assert killed_at(point, work) in ENDS
        backend = plane.again(spares=1)
        with client(backend.publish(export, head, Cache.BACK)) as nbd:
            nbd.pwrite(PATTERN, 0)
        backend.withdraw(plane.volume, "a1")
        backend.close()
        assert plane.empty(), f"after line {point}: {plane.leftovers()}"
        assert not Path(f"/proc/{spare}/exe").exists(), f"after line {point}"


@pytest.fixture(autouse=True)
def nothing_is_left(plane: Plane) -> object:
    yield
    plane.again(spares=1).close()
