"""Layers as files: names, headers, relative parents, what may be refused, and what a full disk says."""

import json
import os
import shutil
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.core.errors import Problem, Refused
from moorage.drivers import programs
from moorage.drivers.backends.files import FilesBackend, headers
from moorage.drivers.backends.files.problems import LayerDiffers, LayerMissing, OutOfReach
from moorage.volumes.backend import BackendFull, BackendMissing, Cache, Format, Layer
from tests.drivers.clients import client
from tests.drivers.plane import MIB, Plane

PATTERN = b"relative" * 512


def image_info(path: Path) -> dict[str, object]:
    argv = ["qemu-img", "info", "--output=json", "-U", "-f", "qcow2", str(path)]
    found: dict[str, object] = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    return found


@pytest.mark.parametrize(
    "name",
    ["", "x", "volumes/v", "volumes/../etc", "volumes/v/.hidden", "volumes/v/a/b", "/volumes/v/a", "images/i/a",
     "volumes/v/a,b", "volumes//a", "volumes/v/a\n", "other/v/a", "volumes/v/" + "a" * 200],
)  # fmt: skip
def test_only_names_of_a_volumes_layers_are_taken(plane: Plane, name: str) -> None:
    for verb in (lambda: plane.backend.create(Layer(name, Format.RAW, MIB)), lambda: plane.backend.delete(name)):
        with pytest.raises(Refused):
            verb()


def test_a_parent_is_named_relatively_and_with_its_format(plane: Plane) -> None:
    parent = plane.layer(Format.RAW, part="parent-1")
    head = plane.layer(Format.QCOW2, parent=parent)
    info = image_info(plane.path(head))
    assert (info["backing-filename"], info["backing-filename-format"]) == ("parent-1", "raw")


def test_a_parent_of_another_volume_is_found_from_anywhere(plane: Plane) -> None:
    parent = plane.layer(Format.QCOW2, part="parent-1")
    head = Layer("volumes/another/clone-1", Format.QCOW2, parent.size, parent)
    plane.backend.create(head)
    assert image_info(plane.path(head))["backing-filename"] == f"../{plane.volume}/parent-1"


def test_what_qemu_makes_is_what_we_read(plane: Plane) -> None:
    parent = plane.layer(Format.QCOW2, part="parent-1")
    head = plane.layer(Format.QCOW2, parent=parent)
    found = headers.parse(plane.path(head).read_bytes()[: headers.READ_BYTES])
    assert (found.size, found.backing, found.backing_format) == (head.size, "parent-1", "qcow2")
    assert {length for _, length in found.tables} == {8, 65536}  # one mapping of 512 MiB, one cluster of counts
    assert (
        subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", str(plane.path(head))], check=False).returncode == 0
    )


@pytest.mark.parametrize(
    ("at", "data", "why"),
    [
        (0, b"RAW!", "not a qcow2 file"),
        (4, struct.pack(">I", 4), "not a qcow2 file"),
        (32, struct.pack(">I", 1), "encrypted"),
        (72, struct.pack(">Q", 4), "external data file"),
        (72, struct.pack(">Q", 2), "corrupt"),
        (72, struct.pack(">Q", 1 << 40), "corrupt"),
        (8, struct.pack(">QI", 1 << 50, 20), "out of bounds"),
        (16, struct.pack(">I", 1 << 30), "out of bounds"),
    ],
)
def test_a_header_that_we_do_not_use_is_refused(plane: Plane, at: int, data: bytes, why: str) -> None:
    head = plane.layer(Format.QCOW2, parent=plane.layer(Format.RAW, part="parent-1"))
    with plane.path(head).open("r+b") as file:
        file.seek(at)
        file.write(data)
    with pytest.raises(LayerDiffers, match=why):
        plane.publish("a1", head)
    assert plane.empty()


@pytest.mark.parametrize("length", [0, 3, 60, 100, 103])
def test_a_header_that_is_cut_is_refused(plane: Plane, length: int) -> None:
    head = plane.layer(Format.QCOW2)
    os.truncate(plane.path(head), length)
    with pytest.raises(LayerDiffers):
        plane.publish("a1", head)


def test_a_head_that_is_not_what_the_row_says_is_not_served(plane: Plane) -> None:
    parent, other = plane.layer(Format.RAW, part="parent-1"), plane.layer(Format.RAW, part="parent-2")
    head = plane.layer(Format.QCOW2, parent=parent)
    for wrong in (
        Layer(head.name, Format.QCOW2, head.size),
        Layer(head.name, Format.QCOW2, head.size, other),
        Layer(head.name, Format.QCOW2, head.size * 2, parent),
        Layer(parent.name, Format.QCOW2, parent.size),
    ):
        with pytest.raises(LayerDiffers):
            plane.publish("a1", wrong)
    os.truncate(plane.path(parent), MIB)
    with pytest.raises(LayerDiffers):
        plane.publish("a1", head)
    plane.path(parent).unlink()
    with pytest.raises(LayerMissing):
        plane.publish("a1", head)
    assert plane.empty()


def test_a_raw_volume_that_looks_like_qcow2_stays_raw(plane: Plane) -> None:
    """What a guest writes into its first sector is never taken for a header."""
    head = plane.layer(Format.RAW)
    bait = plane.directory / "bait.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "/etc/passwd", "-F", "raw", str(bait), "1M"],
                   check=True)  # fmt: skip
    with client(plane.publish("a1", head)) as nbd:
        nbd.pwrite(bait.read_bytes()[:MIB], 0)
    plane.backend.withdraw(plane.volume, "a1")
    over = plane.layer(Format.QCOW2, parent=head, part="clone-1")
    for layer in (head, over):
        with client(plane.publish("a2", layer)) as nbd:
            assert nbd.get_size() == head.size
            assert nbd.pread(4, 0) == headers.MAGIC
        plane.backend.withdraw(plane.volume, "a2")


@pytest.mark.parametrize("kind", Format)
def test_an_image_may_be_a_parent_of_many_volumes_and_is_only_read(plane: Plane, kind: Format) -> None:
    image = Layer("images/i1/put-1", kind, 8 * MIB)
    path = plane.path(image)
    path.parent.mkdir(parents=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, str(path), str(image.size)], check=True)
    subprocess.run(["qemu-io", "-f", kind, "-c", "write -q -P 7 0 1M", str(path)], check=True)
    path.chmod(0o444)
    for directory in (path.parent, path.parent.parent):
        directory.chmod(0o711)
    before = path.read_bytes()
    for number in (1, 2):
        head = plane.layer(Format.QCOW2, parent=image, part=f"create-{number}", size=32 * MIB)
        plane.volume = f"{plane.volume[:16]}{number}"
        plane.names.append(plane.volume)
        with client(plane.publish("a1", head)) as nbd:
            assert nbd.pread(MIB, 0) == b"\7" * MIB
            assert nbd.pread(MIB, 16 * MIB) == bytes(MIB)
            nbd.pwrite(PATTERN, 0)
    assert len(plane.processes()) == 2
    assert path.read_bytes() == before


def test_a_copied_state_directory_uses_its_own_files(plane: Plane) -> None:
    head = plane.layer(Format.QCOW2, parent=plane.layer(Format.RAW, part="parent-1"))
    with client(plane.publish("a1", head)) as nbd:
        nbd.pwrite(PATTERN, 0)
    plane.backend.withdraw(plane.volume, "a1")
    twin = plane.directory / "twin"
    twin.mkdir(mode=0o711)
    subprocess.run(["cp", "-a", str(plane.directory / "state"), str(twin)], check=True)
    shutil.rmtree(plane.directory / "state" / "volumes")
    copy = Plane(twin)
    copy.volume = plane.volume
    with client(copy.publish("a1", head)) as nbd:
        assert nbd.pread(len(PATTERN), 0) == PATTERN
    copy.backend.withdraw(plane.volume, "a1")


def test_a_missing_program_disables_what_needs_it_and_says_how_to_get_it(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = plane.layer(Format.RAW)
    monkeypatch.setitem(programs.ENVIRONMENT, "PATH", str(plane.directory))
    with pytest.raises(BackendMissing, match="qemu-img is missing"):
        plane.layer(Format.QCOW2, part="create-2")
    with pytest.raises(BackendMissing, match="apt install qemu-system-common"):
        plane.publish("a1", head)
    assert plane.empty()


@pytest.fixture
def tiny(state_dir: Path) -> Iterator[Plane]:
    """A plane on a file system with 4 MiB."""
    disk = state_dir / "state"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=711", "tiny", str(disk)], check=True)
    made = Plane(state_dir)
    yield made
    made.again().clear(made.volume)
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.root
def test_a_full_disk_is_said_and_leaves_nothing_half_made(tiny: Plane) -> None:
    (tiny.directory / "state" / "filler").write_bytes(bytes(4 * MIB - 8192))
    with pytest.raises(BackendFull):
        tiny.layer(Format.QCOW2)
    assert tiny.backend.space().free < MIB
    (tiny.directory / "state" / "filler").unlink()
    made = tiny.layer(Format.QCOW2)
    assert tiny.backend.layers() == {made.name}


@pytest.mark.root
def test_writes_that_could_not_be_made_durable_are_not_called_so(tiny: Plane) -> None:
    """The disk fills while a client writes: he gets errors, and the detach goes on once there is room."""
    head = tiny.layer(Format.QCOW2)
    with client(tiny.publish("a1", head)) as nbd:
        nbd.pwrite(PATTERN, 0)
        filler = tiny.directory / "state" / "filler"
        with pytest.raises(OSError), filler.open("wb") as file:
            file.write(bytes(8 * MIB))
        try:
            tiny.backend.withdraw(tiny.volume, "a1")
        except Problem:
            assert tiny.backend.survey()[tiny.volume].exports == frozenset()
            filler.unlink()
            tiny.backend.withdraw(tiny.volume, "a1")
    filler.unlink(missing_ok=True)
    with client(tiny.publish("a2", head)) as nbd:
        assert nbd.pread(len(PATTERN), 0) == PATTERN


@pytest.mark.root
def test_a_file_or_directory_that_the_daemon_cannot_reach_is_named(plane: Plane) -> None:
    head = plane.layer(Format.RAW)
    plane.path(head).parent.chmod(0o700)
    with pytest.raises(OutOfReach, match="cannot pass through the directory"):
        plane.publish("a1", head)
    plane.path(head).parent.chmod(0o711)
    os.chown(plane.path(head), 0, 0)
    with pytest.raises(OutOfReach, match="cannot open the file"):
        plane.publish("a1", head)
    assert plane.empty()


def test_what_another_process_has_open_for_writing_is_not_served(plane: Plane) -> None:
    """QEMU's own file locks stand behind ours."""
    head = plane.layer(Format.QCOW2)
    other = FilesBackend(plane.directory / "state", plane.directory / "other-run")
    plane.publish("a1", head)
    record = plane.directory / "state" / "run" / "daemons" / f"{plane.volume}.json"
    kept = record.read_text()
    record.unlink()
    try:
        with pytest.raises(Problem, match="lock"):
            other.publish(plane.export("a2"), head, Cache.BACK)
    finally:
        record.write_text(kept)


def test_error_texts_name_the_backend_as_it_was_configured(state_dir: Path) -> None:
    backend = FilesBackend(state_dir / "state", state_dir / "run", name="fast")
    with pytest.raises(BackendFull, match="fast has no room"):
        backend.create(Layer("volumes/v1/create-1", Format.RAW, 1 << 62))


def test_what_goes_while_layers_are_listed_hinders_nobody(plane: Plane) -> None:
    """Volumes are deleted while others are made: the listing of one found a directory gone, and the volume failed."""
    kept, over = plane.layer(Format.RAW), threading.Event()
    folder = plane.path(kept).parent.parent

    def come_and_go() -> None:
        while not over.is_set():
            for n in range(8):
                (folder / f"other-{n}").mkdir()
            for n in range(8):
                (folder / f"other-{n}").rmdir()

    others = threading.Thread(target=come_and_go)
    others.start()
    try:
        assert all(plane.backend.layers() == {kept.name} for _ in range(1000))
    finally:
        over.set()
        others.join()
