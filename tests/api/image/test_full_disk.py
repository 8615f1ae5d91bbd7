"""A store without room: 413 and nothing left, on a real file system that is really full."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage.drivers.stores.files import FilesStore
from moorage.drivers.stores.memory import MemoryStore
from tests.api.image.test_upload import assert_nothing_is_left, chunks
from tests.images.cloud import running

ONE = 1 << 20


@pytest.fixture
def small_disk(state_dir: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    place = state_dir / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.root
def test_a_full_disk_is_413_and_leaves_nothing(database: Any, state_dir: Path, small_disk: Path) -> None:
    with running(database, state_dir, {"small": FilesStore("small", small_disk)}) as cloud:
        before = os.statvfs(small_disk).f_bavail
        for content in (os.urandom(20 * ONE), (os.urandom(ONE) for _ in range(20))):
            id = cloud.image()
            reply = cloud.upload(id, content)
            assert (reply.status, "small" in reply.json["message"]) == (413, True)
            assert os.statvfs(small_disk).f_bavail == before
        assert_nothing_is_left(cloud, id)


def test_a_full_store_of_any_kind_is_413_and_leaves_nothing(database: Any, state_dir: Path) -> None:
    with running(database, state_dir, {"memory": MemoryStore("memory", room_bytes=4 * ONE)}) as cloud:
        id = cloud.image()
        assert cloud.upload(id, chunks(6 * ONE)).status == 413
        assert_nothing_is_left(cloud, id)
