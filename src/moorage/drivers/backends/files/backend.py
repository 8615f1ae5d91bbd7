"""
The files backend: layers are files, each volume in use has a daemon, each client outside has a gate.

All of it can be found again from the record files: a new process goes on where the last one was killed, whatever the
line.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from moorage.drivers.backends.files import reading
from moorage.drivers.backends.files.copies.desk import Desk
from moorage.drivers.backends.files.copies.servers import Patience, Servers
from moorage.drivers.backends.files.copies.shelf import FAMILY as SHELF
from moorage.drivers.backends.files.copies.shelf import Shelf
from moorage.drivers.backends.files.daemon import LET_GO_S, Daemons
from moorage.drivers.backends.files.doors import Doors
from moorage.drivers.backends.files.export import Exports
from moorage.drivers.backends.files.gate import Gates, TlsDoor
from moorage.drivers.backends.files.layers import DRIVERS, Elsewhere, Layers, lineage
from moorage.drivers.backends.files.problems import NotWhole
from moorage.drivers.backends.files.readers import Readers
from moorage.drivers.backends.files.records import Records, Server
from moorage.drivers.backends.files.rights import Rights, private_directory
from moorage.drivers.backends.files.sockets import Sockets
from moorage.drivers.backends.files.spares import Spares
from moorage.drivers.backends.files.turns import Turns
from moorage.drivers.backends.files.watch import Watch
from moorage.drivers.processes import Identity
from moorage.drivers.programs import Helpers
from moorage.volumes.backend import (
    Backend,
    Cache,
    Connection,
    Door,
    Export,
    Foreign,
    Layer,
    Served,
    Space,
    Supply,
    Traits,
)


class FilesBackend(Backend):
    """Keeps volumes below `root` and talks to their daemons through sockets in `run_dir`."""

    traits = Traits(
        multiattach=True,
        advance=True,
        doors=frozenset(Door),
        shares=True,
        overlays=frozenset({"raw", "qcow2", "iso"}),
        converts=frozenset(DRIVERS),
        copies=True,
    )

    def __init__(
        self,
        root: Path,
        run_dir: Path,
        rights: Rights | None = None,
        *,
        lock: int | None = None,
        tls: TlsDoor | None = None,
        spares: int = 0,
        name: str = "files",
        fault_patience_s: float = 0.0,
        absence_patience_s: float = 0.0,
        let_go_s: float = LET_GO_S,
    ) -> None:
        self._root = root
        self._rights = rights = rights or Rights.of()
        self._helpers = Helpers(lock)
        self._turns = Turns()
        sockets = Sockets(run_dir, rights.door_gid)
        self._shelf = Shelf(root, sockets, rights, name)
        far = Elsewhere(self._shelf.address, fault_patience_s, absence_patience_s)
        self._layers = Layers(root, rights, self._helpers, name, far)
        self._watch = Watch(self._still_named)
        self._records = Records(_record_directory(root), self._layers, self._watch.follow)
        sockets.prepare()
        daemons = Daemons(self._layers, self._records, sockets, rights, self._let_go, let_go_s)
        self._readers = Readers(self._records, self._turns, daemons)
        servers = Servers(root, sockets, rights, name, Patience(fault_patience_s, absence_patience_s))
        self._desk = Desk(self._shelf, servers, self._readers, sockets)
        spare_records = Records(root / "run" / "spares", self._layers)
        spare_daemons = Daemons(self._layers, spare_records, sockets, rights)
        self._spares = Spares(spares, spare_daemons, spare_records, sockets, self._records.processes)
        exports = Exports(daemons, sockets)
        gates = Gates(self._records, sockets, rights, tls or TlsDoor())
        self._doors = Doors(self._turns, self._layers, self._records, daemons, self._spares, self._desk, exports, gates)

    def _let_go(self, server: Server) -> None:
        self._desk.let_go(server.layers, server.process.pid)

    def create(self, layer: Layer) -> None:
        self._layers.create(layer)

    def convert(self, layer: Layer, source: Foreign, check: Callable[[], None]) -> int:
        return self._layers.convert(layer, source, check)

    def share(self, layer: Layer, source: str) -> None:
        self._layers.share(layer, source)

    def _all_there(self, layer: Layer) -> None:
        if self._layers.far(below.name for below in lineage(layer)):
            raise NotWhole(layer=layer.name)

    def read(self, layer: Layer) -> Iterator[bytes]:
        self._all_there(layer)
        return reading.read(self._layers, layer, self._rights)

    def pour(self, layer: Layer, format: str, to: str, check: Callable[[], None]) -> Path:
        self._all_there(layer)
        return reading.pour(self._layers, layer, format, to, check, self._helpers, self._rights)

    def delete(self, name: str) -> None:
        self._readers.refuse(name)
        if name.startswith(SHELF + "/"):
            self._desk.delete(name)
        else:
            self._layers.delete(name)

    def extend(self, layer: Layer, size: int) -> None:
        self._readers.refuse(layer.name)
        self._layers.extend(layer, size)

    def layers(self) -> frozenset[str]:
        return self._layers.names() | self._shelf.names()

    def make_copy(self, copy: str, size: int, digests: bytes) -> None:
        self._shelf.make(copy, size, digests)

    def pour_copy(self, copy: str, size: int, chunks: Iterable[bytes]) -> None:
        self._shelf.pour(copy, size, chunks)

    def missing(self, copy: str) -> Sequence[int]:
        return self._shelf.missing(copy)

    def prime_copy(self, layer: Layer) -> int:
        return self._desk.prime(layer)

    def fill_copy(self, copy: str, chunk: int) -> int:
        return self._desk.fill(copy, chunk)

    def settle_copy(self, copy: str) -> bool:
        return self._desk.settle(copy)

    def supply(self, supply: Supply) -> None:
        self._desk.supply(supply)

    def idle(self) -> None:
        self._desk.idle()

    def publish(self, export: Export, head: Layer, cache: Cache) -> Connection:
        return self._doors.publish(export, head, cache)

    def advance(self, volume: str, head: Layer) -> None:
        self._doors.advance(volume, head)

    def withdraw(self, volume: str, attachment: str, *, careful: bool = False) -> None:
        self._doors.withdraw(volume, attachment, careful=careful)

    def survey(self, volume: str | None = None) -> Mapping[str, Served]:
        return self._doors.survey(volume)

    def halt(self, volume: str) -> None:
        self._doors.halt(volume)

    def clear(self, volume: str) -> None:
        self._doors.clear(volume)

    def watch(self, died: Callable[[str], None]) -> None:
        self._watch.start(died)
        for volume in self._records.volumes():
            with self._turns.of(volume):
                server = self._records.load(volume)
                if server is not None and server.home == self._records.home:
                    self._watch.follow(volume, server.processes)

    def _still_named(self, volume: str, process: Identity) -> bool | None:
        turn = self._turns.of(volume)
        if not turn.begin():
            return None
        try:
            server = self._records.load(volume)
            return server is not None and process in server.processes
        finally:
            turn.end()

    def close(self) -> None:
        self._desk.close()
        self._watch.stop()
        self._spares.close()

    def space(self) -> Space:
        found = os.statvfs(self._root)
        return Space(total=found.f_blocks * found.f_frsize, free=found.f_bavail * found.f_frsize)


def _record_directory(root: Path) -> Path:
    private_directory(root / "run", 0o700)
    return root / "run" / "daemons"
