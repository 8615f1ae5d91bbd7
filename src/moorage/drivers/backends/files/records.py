"""
What is written down about each running server, so that any later process finds it again.

A record is replaced as a whole, before the thing that it describes begins and after it has ended.  It names the inode
of the state directory: in a copy of that directory the servers of the original are nobody's.
"""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from moorage.core.pids import boot_id
from moorage.drivers.backends.files.layers import Layers, room_for
from moorage.drivers.backends.files.rights import private_directory
from moorage.drivers.processes import Identity
from moorage.volumes.backend import Cache, Door, Format

SUFFIX, DRAFT = ".json", ".new"


@dataclass
class Entry:
    """One attachment's export and gate."""

    attachment: str
    name: str
    read_only: bool
    door: Door
    gate: Identity | None = None
    port: int | None = None

    def same(self, other: "Entry") -> bool:
        """Whether both are one door, not two generations of one attachment."""
        return (self.name, self.read_only, self.door) == (other.name, other.read_only, other.door)


NOBODY = Identity(0, 0, "")


@dataclass
class Server:
    """A volume's daemon, and what it serves or was about to."""

    volume: str
    home: int  #: inode of the state directory
    head: str
    format: Format
    cache: Cache
    layers: tuple[str, ...]  #: the head and all below it
    process: Identity = NOBODY
    lost: bool = False  #: it died with a writer's cache, of which his siblings saw more than there is now
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def processes(self) -> frozenset[Identity]:
        """The daemon and the gates."""
        return frozenset({self.process} | {entry.gate for entry in self.entries.values() if entry.gate is not None})


class Records:
    """The records of one backend, a file for each volume in use; `follow` hears of the processes in each."""

    def __init__(
        self, directory: Path, layers: Layers, follow: Callable[[str, frozenset[Identity]], None] = lambda *_: None
    ) -> None:
        private_directory(directory, 0o700)
        self._directory, self._follow = directory, follow
        self.home, self.backend = layers.root.stat().st_ino, layers.backend

    def _path(self, volume: str) -> Path:
        return self._directory / (volume + SUFFIX)

    def load(self, volume: str) -> Server | None:
        """What is written down of `volume`'s server; one that cannot be read any more is removed."""
        try:
            return _server(msgspec.json.decode(self._path(volume).read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):  # cut short by a power failure, which its server did not survive
            self.remove(volume)
            return None

    def alive(self, server: Server) -> bool:
        """Whether it runs, and is ours."""
        return server.home == self.home and server.process.alive()

    def lossless(self, server: Server) -> bool:
        """Whether no acknowledged write is missing, should `server` be dead."""
        if server.lost or server.home != self.home:
            return False
        if server.cache is Cache.THROUGH or all(entry.read_only for entry in server.entries.values()):
            return True
        return server.format is Format.RAW and server.process.boot == boot_id()

    def save(self, server: Server, *, durable: bool = False) -> None:
        """Replace the record; durable where an older one must not come back after a power failure."""
        path = self._path(server.volume)
        draft = path.with_suffix(DRAFT)
        text = msgspec.json.encode(server)
        with room_for(len(text), self.backend), draft.open("wb", buffering=0) as file:
            if file.write(text) != len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if durable:
                os.fsync(file.fileno())
        draft.replace(path)
        self._follow(server.volume, server.processes)

    def remove(self, volume: str) -> None:
        """Forget the server. Unknown is fine."""
        self._path(volume).with_suffix(DRAFT).unlink(missing_ok=True)
        self._path(volume).unlink(missing_ok=True)
        self._follow(volume, frozenset())

    def processes(self) -> set[Identity]:
        """The processes that any record names."""
        return {server.process for server in map(self.load, list(self.volumes())) if server is not None}

    def volumes(self) -> Iterator[str]:
        """The volumes that have a record."""
        for path in sorted(self._directory.glob("*" + SUFFIX)):
            yield path.name.removesuffix(SUFFIX)


def _server(values: dict[str, Any]) -> Server:
    entries = {attachment: _entry(entry) for attachment, entry in values.pop("entries").items()}
    values["process"] = Identity(**values["process"])
    values["format"], values["cache"] = Format(values["format"]), Cache(values["cache"])
    values["layers"] = tuple(values["layers"])
    return Server(**values, entries=entries)


def _entry(values: dict[str, Any]) -> Entry:
    values["door"] = Door(values["door"])
    values["gate"] = Identity(**values["gate"]) if values["gate"] else None
    return Entry(**values)
