"""
What this process holds of another Block Storage, on the disk, so that whoever comes after its death gives it back.

Our own Block Storage needs none of it: there a dead process's attachments end with their leases. Elsewhere an
attachment stays until somebody deletes it. A file is made before an attachment is asked for, and lists it afterwards;
what is on the volume and in no living process's file is nobody's.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from moorage.core.pids import boot_id
from moorage.drivers.processes import Identity


@dataclass(frozen=True)
class Left:
    """What a dead process has left of one volume."""

    path: Path
    volume: str
    attachments: frozenset[str]


class Register:
    """Files below `folder`, one for each process and volume; without a folder nothing is kept."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder, self._guard = folder, threading.Lock()
        self._held: dict[str, set[str]] = {}

    def intend(self, volume: str) -> None:
        """An attachment of the volume is about to be asked for."""
        with self._guard:
            self._held.setdefault(volume, set())
            self._write(volume)

    def note(self, volume: str, attachment: str) -> None:
        """This process has the attachment."""
        with self._guard:
            self._held.setdefault(volume, set()).add(attachment)
            self._write(volume)

    def strike(self, volume: str, attachment: str) -> None:
        """This process has the attachment no more."""
        with self._guard:
            self._held.get(volume, set()).discard(attachment)
            if not self._held.get(volume):
                self._held.pop(volume, None)
                with contextlib.suppress(FileNotFoundError):
                    if self._folder is not None:
                        self._path(volume).unlink()

    def left(self) -> Iterator[Left]:
        """What processes have left that are dead."""
        for path in self._files():
            volume, pid, start, boot = path.name.split("@")
            if not Identity(int(pid), int(start), boot).alive():
                with contextlib.suppress(FileNotFoundError):  # somebody else has just seen to it
                    yield Left(path, volume, frozenset(path.read_text().split()))

    def living(self, volume: str) -> frozenset[str]:
        """The attachments of the volume that living processes of this host have."""
        found: set[str] = set()
        for path in self._files():
            name, pid, start, boot = path.name.split("@")
            if name == volume and Identity(int(pid), int(start), boot).alive():
                with contextlib.suppress(FileNotFoundError):
                    found |= set(path.read_text().split())
        return frozenset(found)

    def _files(self) -> list[Path]:
        if self._folder is None or not self._folder.is_dir():
            return []
        return [path for path in sorted(self._folder.iterdir()) if path.name.count("@") == 3]

    def _path(self, volume: str) -> Path:
        assert self._folder is not None
        me = Identity.of(os.getpid())
        return self._folder / f"{volume}@{me.pid}@{me.start}@{boot_id()}"

    def _write(self, volume: str) -> None:
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(volume)
        part = self._folder / f".{path.name}"
        part.write_text("\n".join(sorted(self._held[volume])))
        part.replace(path)
