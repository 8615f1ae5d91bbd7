"""The files backend keeps the contract, with real daemons and real clients."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from moorage.drivers.backends.files import FilesBackend
from moorage.drivers.backends.files.layers import DRIVERS
from moorage.drivers.backends.files.rights import DAEMON_ID
from moorage.volumes.backend import Foreign
from tests.contracts.backends.contract import BackendContract
from tests.contracts.backends.copies import CopiesContract


class TestCopiesInFiles(CopiesContract):
    @pytest.fixture
    def backend(self, state_dir: Path) -> FilesBackend:
        return FilesBackend(state_dir / "state", state_dir / "run")


class TestFilesBackend(BackendContract):
    @pytest.fixture
    def backend(self, state_dir: Path) -> Iterator[FilesBackend]:
        backend = FilesBackend(state_dir / "state", state_dir / "run")
        yield backend
        for volume in backend.survey():
            backend.clear(volume)

    @pytest.fixture
    def stored(self, state_dir: Path) -> Callable[[str, bytes], Foreign]:
        """Puts bytes where images are, in a foreign format that real tools have made."""

        def store(kind: str, inside: bytes) -> Foreign:
            folder, plain = state_dir / "state" / "images" / "i1", state_dir / "plain"
            folder.mkdir(parents=True, exist_ok=True, mode=0o711)
            plain.write_bytes(inside)
            path = folder / f"{kind}-1"
            words = ("-f", "raw", "-O", DRIVERS[kind], *(("-o", "force_size=on") if kind == "vhd" else ()))
            subprocess.run(["qemu-img", "convert", *words, plain, path], check=True)
            path.chmod(0o440)
            if os.geteuid() == 0:
                os.chown(path, 0, DAEMON_ID)
            return Foreign(f"images/i1/{kind}-1", kind)

        return store

    @pytest.fixture
    def foreign(self, stored: Callable[[str, bytes], Foreign]) -> Foreign:
        return stored("vmdk", b"moorage!" * 512)
