"""The files store keeps the contract, and leaves files that a crash, a reader and a doctor can make sense of."""

import os
import stat
import subprocess
import sys
import threading

import pytest

from moorage.drivers.stores.files import FilesStore
from moorage.drivers.stores.registry import StoreKindUnknown, build
from moorage.images.store import StoreUnavailable
from tests.contracts.stores.contract import BYTES, HOLES, NAME, StoreContract, put, read

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes owners, which takes root")


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system with 3 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounts a file system, which takes root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tiny", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this root may not mount")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


class TestFiles(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return FilesStore("files", tmp_path / "objects")

    @pytest.fixture
    def small_store(self, tiny_disk):
        return lambda: FilesStore("small", tiny_disk / "objects")

    def test_a_finished_object_is_read_only_and_nobody_elses(self, store):
        put(store)
        assert stat.S_IMODE(store.path(NAME).stat().st_mode) == 0o400

    @as_root
    def test_the_owner_reads_and_nobody_else(self, tmp_path):
        store = FilesStore("files", tmp_path / "objects", owner=(12_345, 23_456))
        put(store)
        seen = store.path(NAME).stat()
        assert (seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode)) == (12_345, 23_456, 0o440)
        assert stat.S_IMODE(store.path(NAME).parent.stat().st_mode) == 0o711

    def test_zeros_take_no_room(self, store):
        put(store, bytes(8 << 20))
        assert store.path(NAME).stat().st_blocks * 512 < 1 << 20

    def test_folders_go_with_their_last_object(self, store):
        put(store)
        store.delete(NAME)
        assert [path.name for path in store.root.rglob("*")] == ["images"]

    def test_a_link_in_the_place_of_an_object_is_not_followed(self, store, tmp_path):
        secret = tmp_path / "secret"
        secret.write_text("secret")
        store.path(NAME).parent.mkdir(parents=True)
        store.path(NAME).symlink_to(secret)
        with pytest.raises(StoreUnavailable):
            store.open(NAME)
        put(store)
        assert secret.read_text() == "secret"
        assert read(store) == BYTES

    def test_a_link_in_the_place_of_a_part_is_not_followed(self, store, tmp_path):
        secret = tmp_path / "secret"
        secret.write_text("secret")
        part = store.path(NAME).with_name(store.path(NAME).name + ".part")
        part.parent.mkdir(parents=True)
        part.symlink_to(secret)
        put(store)
        assert secret.read_text() == "secret"

    def test_what_else_lies_in_the_root_is_left_alone(self, store):
        put(store)
        for other in ("volumes/8a1c/op1-1", "moorage.db", "images/.keep"):
            (store.root / other).parent.mkdir(exist_ok=True, parents=True)
            (store.root / other).write_text("not an object")
        assert store.names() == {NAME}

    def test_what_a_killed_writer_leaves_is_listed_and_replaced(self, store):
        script = (
            "import os, sys, pathlib; from moorage.drivers.stores.files import FilesStore\n"
            "writer = FilesStore('files', pathlib.Path(sys.argv[1])).create(sys.argv[2], None)\n"
            "writer.write(b'half'); os.kill(os.getpid(), 9)"
        )
        killed = subprocess.run([sys.executable, "-c", script, str(store.root), NAME], check=False)
        assert killed.returncode == -9
        assert store.names() == {NAME}
        put(store, HOLES)
        assert (read(store), store.names()) == (HOLES, {NAME})

    def test_an_abort_undoes_a_commit_that_failed_after_its_rename(self, store, monkeypatch):
        writer = store.create(NAME, None)
        writer.write(BYTES)
        with monkeypatch.context() as broken:
            broken.setattr("moorage.drivers.stores.files._sync_folder", lambda folder: os.close(-1))
            with pytest.raises(StoreUnavailable):
                writer.commit()
        writer.abort()
        assert store.names() == frozenset()

    def test_no_descriptor_is_left_open(self, store):
        before = len(os.listdir("/proc/self/fd"))
        put(store)
        store.open(NAME)
        next(store.open(NAME))
        read(store)
        store.create("images/8a1c/left", None).abort()
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_store_is_built_by_its_kind(tmp_path):
    store = build("files", "local", {"root": str(tmp_path)})
    assert (store.id, store.kind, store.root) == ("local", "file", tmp_path)
    assert build("memory", "quick", {}).names() == frozenset()
    with pytest.raises(StoreKindUnknown, match="floppy"):
        build("floppy", "a", {})


def test_writers_and_deleters_in_one_folder_do_not_trip_over_each_other(tmp_path):
    store = FilesStore("files", tmp_path / "objects")
    failures = []

    def churn(number):
        try:
            for turn in range(200):
                name = f"images/8a1c/op{number}-{turn}"
                put(store, b"x", name)
                store.delete(name)
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=churn, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.names() == frozenset()
