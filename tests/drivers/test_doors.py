"""Doors: what a client outside can and cannot do through the address that he was given."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from moorage.core.errors import Problem
from moorage.drivers.backends.files.gate import CONNECTIONS
from moorage.volumes.backend import Cache, Connection, Door, Export, Format
from tests.drivers.clients import ClientError, client, listed
from tests.drivers.plane import Plane, arguments
from tests.patience import eventually

OUTSIDE = (Door.SOCKET, Door.TLS)
PATTERN = b"sibling!" * 64


class Shared:
    """A volume with a writer and a reader, each behind a door of its own."""

    def __init__(self, plane: Plane, door: Door) -> None:
        self.plane = plane
        self.head = plane.layer(Format.QCOW2)
        self.writer, self.reader = plane.export("writer", door), plane.export("reader", door, read_only=True)
        self.to_writer = plane.backend.publish(self.writer, self.head, Cache.BACK)
        self.to_reader = plane.backend.publish(self.reader, self.head, Cache.BACK)

    def key(self, export: Export) -> Path | None:
        return self.plane.key(export) if export.door is Door.TLS else None

    def at_the_readers_door(self, name: str) -> Connection:
        """The reader's address with another export's name."""
        return Connection(self.to_reader.uri.replace(self.reader.name, name))


@pytest.fixture(params=OUTSIDE)
def shared(request: pytest.FixtureRequest, plane: Plane) -> Iterator[Shared]:
    yield Shared(plane, request.param)


def assert_nothing_but_his_own(shared: Shared) -> None:
    """Through the reader's address there is the reader's export, read-only, and nothing else, by any name."""
    key = shared.key(shared.reader)
    found = listed(shared.at_the_readers_door("").uri + (f"?tls-psk-file={key}" if key else ""))
    assert shared.writer.name not in found.stdout + found.stderr
    assert shared.reader.name not in found.stdout + found.stderr
    for name in (shared.writer.name, "", "head", f"e{shared.writer.name}", "default"):
        with pytest.raises(ClientError), client(shared.at_the_readers_door(name), key):
            pass
    with client(shared.to_reader, key) as reader:
        assert reader.is_read_only()
        reader.set_strict_mode(0)
        with pytest.raises(ClientError):
            reader.zero(512, 0)
        with pytest.raises(ClientError):
            reader.trim(512, 0)
        with pytest.raises(ClientError):
            reader.pwrite(bytes(512), 0)
    with client(shared.to_reader, key) as reader:
        assert reader.pread(len(PATTERN), 0) == PATTERN


def test_a_reader_finds_no_way_to_his_siblings_export_before_or_after_a_fence(shared: Shared) -> None:
    with client(shared.to_writer, shared.key(shared.writer)) as writer:
        writer.pwrite(PATTERN, 0)
        assert_nothing_but_his_own(shared)
        shared.plane.backend.withdraw(shared.plane.volume, "writer")
        with pytest.raises(ClientError):
            writer.pwrite(bytes(512), 0)
    assert_nothing_but_his_own(shared)
    with pytest.raises(ClientError), client(shared.to_writer, shared.key(shared.writer)):
        pass


def test_a_reader_who_is_fenced_gets_nothing_newer(shared: Shared) -> None:
    with (
        client(shared.to_reader, shared.key(shared.reader)) as reader,
        client(shared.to_writer, shared.key(shared.writer)) as writer,
    ):
        shared.plane.backend.withdraw(shared.plane.volume, "reader")
        writer.pwrite(PATTERN, 0)
        with pytest.raises(ClientError):
            reader.pread(512, 0)


def test_a_door_lets_several_connections_of_its_holder_in(shared: Shared) -> None:
    key = shared.key(shared.writer)
    with ExitStack() as stack:
        first, second = (stack.enter_context(client(shared.to_writer, key)) for _ in range(2))
        assert first.can_multi_conn()
        first.pwrite(PATTERN, 0)
        assert second.pread(len(PATTERN), 0) == PATTERN


def test_with_tls_only_the_key_of_this_attachment_opens(plane: Plane) -> None:
    shared = Shared(plane, Door.TLS)
    wrong = plane.directory / "wrong"
    wrong.write_text(f"reader:{shared.writer.secret}\n")
    stranger = plane.directory / "stranger"
    stranger.write_text(f"mallory:{shared.reader.secret}\n")
    plain = Connection(shared.to_reader.uri.replace("nbds://reader@", "nbd://"))
    mallory = Connection(shared.to_reader.uri.replace("reader@", "mallory@"))
    for address, key in ((shared.to_reader, wrong), (mallory, stranger), (plain, None)):
        with pytest.raises(ClientError), client(address, key):
            pass
    with client(shared.to_reader, plane.key(shared.reader)) as reader:
        assert reader.get_tls_negotiated()


@pytest.mark.parametrize("secret", [None, "", "abc", "zz" * 32, "ab" * 32 + "\nmallory:" + "cd" * 32])
def test_a_door_with_tls_needs_a_proper_secret(plane: Plane, secret: str | None) -> None:
    head = plane.layer(Format.RAW)
    with pytest.raises(Problem):
        plane.backend.publish(Export("a1", plane.volume, "00" * 16, False, Door.TLS, secret), head, Cache.BACK)
    assert plane.empty()


def test_no_secret_is_in_the_process_list(plane: Plane) -> None:
    shared = Shared(plane, Door.TLS)
    assert len(plane.processes()) == 3
    for pid in plane.processes():
        seen = arguments(pid) + Path(f"/proc/{pid}/environ").read_text()
        assert shared.writer.secret not in seen and shared.reader.secret not in seen
    for key in (plane.directory / "run" / "k").iterdir():
        assert key.stat().st_mode & 0o777 == 0o600


def test_daemons_and_gates_have_no_more_than_they_need(plane: Plane) -> None:
    lock = os.open(plane.directory / "lock", os.O_CREAT | os.O_RDWR)
    plane.backend = plane.again(lock=lock)
    Shared(plane, Door.SOCKET)
    os.close(lock)
    for pid in plane.processes():
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0", limits)
        assert os.getsid(pid) != os.getsid(0)
        targets = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        assert not any(target.endswith("/lock") for target in targets)
        if "nbdkit" in arguments(pid):
            assert not any("/state/" in target for target in targets)
        ignored = int(Path(f"/proc/{pid}/status").read_text().split("SigIgn:")[1].split()[0], 16)
        assert ignored & 1 << 12  # SIGPIPE: writing to a standard error that nobody reads does not end it


@pytest.mark.root
def test_started_by_root_nothing_runs_as_root_and_gates_reach_nothing(plane: Plane) -> None:
    shared = Shared(plane, Door.TLS)
    users = {pid: os.stat(f"/proc/{pid}").st_uid for pid in plane.processes()}
    daemons = {user for pid, user in users.items() if "qemu-storage-daemon" in arguments(pid)}
    gates = {user for pid, user in users.items() if "nbdkit" in arguments(pid)}
    assert len(daemons) == len(gates) == 1 and 0 not in daemons | gates and daemons != gates
    sockets = list((plane.directory / "run" / "d").iterdir())
    for path in [plane.path(shared.head), *sockets]:
        for mode in ("-r", "-w"):
            tried = subprocess.run(["test", mode, str(path)], user=min(gates), extra_groups=[], check=False)
            assert tried.returncode == 1


@pytest.mark.root
def test_the_group_of_the_doors_may_open_them(plane: Plane) -> None:
    from moorage.drivers.backends.files import FilesBackend, Rights

    rights = Rights.of(door_gid=64700)
    plane.backend = FilesBackend(plane.directory / "state", plane.directory / "run", rights)
    shared = Shared(plane, Door.SOCKET)
    for group, welcome in ((64700, True), (64701, False)):
        argv = ["nbdinfo", "--size", shared.to_reader.uri]
        seen = subprocess.run(argv, user=64799, group=group, extra_groups=[], capture_output=True, check=False)
        assert (seen.returncode == 0) is welcome


def test_a_holder_cannot_exhaust_the_host_with_connections(plane: Plane) -> None:
    address = plane.publish("a1", plane.layer(Format.RAW), Door.SOCKET)
    with ExitStack() as stack, pytest.raises(ClientError):
        for _ in range(CONNECTIONS + 1):
            stack.enter_context(client(address))
    assert eventually(lambda: _opens(address))


def _opens(address: Connection) -> bool:
    try:
        with client(address):
            return True
    except ClientError:
        return False
