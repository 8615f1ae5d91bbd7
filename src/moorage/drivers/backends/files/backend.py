"""
The files backend: layers are files, each volume in use has a daemon, each client outside has a gate.

All of it can be found again from the record files: a new process goes on where the last one was killed, whatever the
line.  Nothing here decides that a client may be resumed; `survey` says what can be known, and the rows decide.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from weakref import WeakValueDictionary

from moorage.core.errors import Problem, Refused
from moorage.drivers.backends.files import qmp, reading
from moorage.drivers.backends.files.copies.serving import Patience
from moorage.drivers.backends.files.copies.shelf import FAMILY as SHELF
from moorage.drivers.backends.files.copies.shelf import Shelf
from moorage.drivers.backends.files.daemon import Daemons
from moorage.drivers.backends.files.export import Exports, identifier
from moorage.drivers.backends.files.gate import Gates, TlsDoor, standing
from moorage.drivers.backends.files.layers import DRIVERS, PART, Elsewhere, Layers, lineage
from moorage.drivers.backends.files.problems import LayerInUse, NotWhole, ServedOtherwise, ServerDied
from moorage.drivers.backends.files.records import Entry, Records, Server
from moorage.drivers.backends.files.rights import Rights, private_directory
from moorage.drivers.backends.files.sockets import Sockets
from moorage.drivers.backends.files.spares import Spares
from moorage.drivers.backends.files.watch import Watch
from moorage.drivers.processes import Identity
from moorage.drivers.programs import Helpers
from moorage.volumes.backend import (
    Backend,
    BackendUnsure,
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
    WritesLost,
)


class Turn:
    """The verbs of one volume, one after the other; `survey` waits for none of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def begin(self) -> bool:
        """Whether nobody else is at it; then `end` must follow."""
        return self._lock.acquire(blocking=False)

    def end(self) -> None:
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.end()


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
    ) -> None:
        self._rights = rights or Rights.of()
        self._root = root
        self._helpers = Helpers(lock)
        self._sockets = Sockets(run_dir, self._rights.door_gid)
        patience = Patience(fault_patience_s, absence_patience_s)
        self._shelf = Shelf(root, self._sockets, self._rights, name, patience, self._lain_on)
        far = Elsewhere(self._shelf.address, fault_patience_s, absence_patience_s)
        self._layers = Layers(root, self._rights, self._helpers, name, far)
        self._watch = Watch(self._still_named)
        self._records = Records(_record_directory(root), self._layers, self._watch.follow)
        self._sockets.prepare()
        self._daemons = Daemons(self._layers, self._records, self._sockets, self._rights, self._let_go)
        spare_records = Records(root / "run" / "spares", self._layers)
        spare_daemons = Daemons(self._layers, spare_records, self._sockets, self._rights)
        self._spares = Spares(spares, spare_daemons, spare_records, self._sockets, self._records.processes)
        self._exports = Exports(self._daemons, self._sockets)
        self._gates = Gates(self._records, self._sockets, self._rights, tls or TlsDoor())
        self._guard = threading.Lock()
        self._turns: WeakValueDictionary[str, Turn] = WeakValueDictionary()

    def _turn(self, volume: str) -> "Turn":
        with self._guard:
            return self._turns.setdefault(volume, Turn())

    def _let_go(self, server: Server) -> None:
        if server.process is not None:
            self._shelf.let_go(server.layers, server.process.pid)

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
        self._refuse_served(name)
        if name.startswith(SHELF + "/"):
            self._shelf.delete(name)
        else:
            self._layers.delete(name)

    def extend(self, layer: Layer, size: int) -> None:
        self._refuse_served(layer.name)
        self._layers.extend(layer, size)

    def layers(self) -> frozenset[str]:
        return self._layers.names() | self._shelf.names()

    def make_copy(self, copy: str, size: int, digests: bytes) -> None:
        self._shelf.make(copy, size, digests)

    def prime_copy(self, layer: Layer) -> int:
        return self._shelf.prime(layer)

    def missing(self, copy: str) -> Sequence[int]:
        return self._shelf.missing(copy)

    def fill_copy(self, copy: str, chunk: int) -> int:
        return self._shelf.fill(copy, chunk)

    def settle_copy(self, copy: str) -> bool:
        whole = self._shelf.settle(copy)
        if whole and self._shelf.served(copy):
            self._bring_near(copy)
        return whole

    def _bring_near(self, copy: str) -> None:
        """Have every daemon read the copy, which is whole, as a file; the last to need its server is rid of it."""
        near = [self._reads_near(volume, copy) for volume in list(self._records.volumes())]
        if all(near):
            self._shelf.retire(copy)

    def _reads_near(self, volume: str, copy: str) -> bool:
        with self._turn(volume):
            server = self._records.load(volume)
            if server is None or copy not in server.layers or not self._records.alive(server):
                return True
            return self._daemons.bring_near(server, copy)

    def pour_copy(self, copy: str, size: int, chunks: Iterable[bytes]) -> None:
        self._shelf.pour(copy, size, chunks)

    def supply(self, supply: Supply) -> None:
        self._shelf.supply(supply)
        for copy in self._shelf.lingering():
            self._bring_near(copy)

    def idle(self) -> None:
        self._shelf.idle()

    def _lain_on(self, copy: str) -> bool:
        servers = (self._records.load(volume) for volume in self._records.volumes())
        return any(found is not None and copy in found.layers and self._records.alive(found) for found in servers)

    def _refuse_served(self, name: str) -> None:
        for volume in self._records.volumes():
            server = self._records.load(volume)
            if server is not None and name in server.layers and self._records.alive(server):
                raise LayerInUse(layer=name, volume=volume)

    def publish(self, export: Export, head: Layer, cache: Cache) -> Connection:
        for word in (export.attachment, export.volume, export.name):
            if not PART.fullmatch(word):
                raise Refused(reason=f"{word!r} cannot be part of an export.")
        with self._turn(export.volume), self._daemons.conversation(export.volume):
            server = self._serving(export.volume, head, cache)
            try:
                return self._open(server, export)
            except Exception as problem:
                if not self._records.alive(server):  # whatever it looked like, that is what it was
                    raise ServerDied(volume=export.volume) from problem
                with suppress(Problem):  # the caller hears of the first one, and withdraws
                    self._close(server, export.attachment)
                raise

    def _serving(self, volume: str, head: Layer, cache: Cache) -> Server:
        server = self._records.load(volume)
        if server is not None and not self._records.alive(server):
            if server.entries:
                raise ServerDied(volume=volume)
            self._daemons.forget(volume)
            self._shelf.rest(server.layers)
            server = None
        if server is None:
            self._layers.check(head)
            server = self._start(volume, head, cache)
        elif server.head != head.name:
            raise ServedOtherwise(volume=volume, what=f"the head {server.head}")
        elif server.cache is not cache:
            raise ServedOtherwise(volume=volume, what=f"the cache mode {server.cache.value!r}")
        try:
            self._shelf.serve(server.layers)
            self._daemons.load(server, head)
        except Exception:
            if not server.entries:
                self._end(server)
            raise
        return server

    def _end(self, server: Server) -> None:
        self._daemons.stop(server)
        self._shelf.rest(server.layers)

    def _start(self, volume: str, head: Layer, cache: Cache) -> Server:
        names = tuple(layer.name for layer in lineage(head))
        server = Server(volume, self._records.home, head.name, head.format, cache, names)
        if not self._spares.give(server, lambda: self._records.save(server, durable=True)):
            self._daemons.start(server)
        return server

    def advance(self, volume: str, head: Layer) -> None:
        with self._turn(volume):
            server = self._records.load(volume)
            if server is None or not self._records.alive(server):
                return
            if server.head != head.name:
                if head.parent is None or head.parent.name != server.head:
                    raise ServedOtherwise(volume=volume, what=f"the head {server.head}")
                self._layers.check(head)
                server.head, server.format = head.name, head.format
                server.layers = tuple(layer.name for layer in lineage(head))
                self._records.save(server, durable=True)  # first: a death in between loses, by the record, not less
            self._daemons.load(server, head)

    def _open(self, server: Server, export: Export) -> Connection:
        wanted = Entry(export.attachment, export.name, export.read_only, export.door)
        entry = server.entries.get(export.attachment)
        if entry is not None and not entry.same(wanted):
            self._shut(server, entry)
            entry = None
        if entry is None:
            server.entries[export.attachment] = entry = wanted
            self._records.save(server)
        self._exports.open(server, entry)
        return self._gates.open(server, export)

    def withdraw(self, volume: str, attachment: str, *, careful: bool = False) -> None:
        with self._turn(volume), self._daemons.conversation(volume):
            server = self._records.load(volume)
            if server is None:
                self._daemons.forget(volume)
            elif self._records.alive(server):
                self._close(server, attachment)
            else:
                entry = server.entries.get(attachment)
                if careful and entry is not None and not entry.read_only and not self._records.lossless(server):
                    raise WritesLost(volume=volume, attachment=attachment)
                self._bury(server, attachment)

    def _close(self, server: Server, attachment: str) -> None:
        entry = server.entries.get(attachment)
        if entry is not None:
            try:
                self._shut(server, entry)
            except BackendUnsure:
                if self._records.alive(server) or not self._records.lossless(server):
                    raise
                self._bury(server, attachment)  # the fence holds, and nothing is lost
                return
        if not server.entries:
            self._end(server)

    def _shut(self, server: Server, entry: Entry) -> None:
        self._exports.close(server, identifier(entry.name))
        self._gates.shut(entry)
        if not entry.read_only and server.cache is Cache.BACK:
            self._exports.flush(server)
        del server.entries[entry.attachment]
        if server.entries:  # else the whole record is about to go, for which a full disk has room
            self._records.save(server)

    def _bury(self, server: Server, attachment: str) -> None:
        server.lost = not self._records.lossless(server)
        entry = server.entries.pop(attachment, None)
        if entry is not None:
            self._gates.shut(entry)
            if not entry.read_only:
                self._layers.sync(server.head)
        if server.entries:
            self._records.save(server)
        else:
            self._daemons.forget(server.volume)
            self._shelf.rest(server.layers)

    def survey(self, volume: str | None = None) -> Mapping[str, Served]:
        found = {}
        for id in self._records.volumes() if volume is None else (volume,):
            turn = self._turn(id)
            free = turn.begin()
            try:
                server = self._records.load(id)
                if server is not None:
                    found[id] = self._look(server, talk=free)
            finally:
                if free:
                    turn.end()
        return found

    def _look(self, server: Server, *, talk: bool) -> Served:
        alive = self._records.alive(server)
        usable = list(server.entries.values())
        if alive and talk:  # where a verb is under way, its conversation is not disturbed, and the record must do
            try:
                opened = self._exports.opened(server)
                usable = [entry for entry in usable if identifier(entry.name) in opened and standing(entry)]
            except qmp.Gone:  # it is about to die
                alive = not server.process.wait(qmp.PATIENCE_S)
            except qmp.Silent:
                pass
        if not alive and talk:
            for entry in server.entries.values():
                with suppress(Problem):
                    self._gates.shut(entry)
        exports = frozenset(entry.attachment for entry in usable)
        return Served(alive=alive, exports=exports, head=server.head, lossless=self._records.lossless(server))

    def clear(self, volume: str) -> None:
        with self._turn(volume):
            server = self._records.load(volume)
            if server is None:
                self._daemons.forget(volume)
                return
            for entry in server.entries.values():
                self._gates.shut(entry)
            self._end(server)

    def watch(self, died: Callable[[str], None]) -> None:
        self._watch.start(died)
        for volume in self._records.volumes():
            with self._turn(volume):
                server = self._records.load(volume)
                if server is not None and server.home == self._records.home:
                    self._watch.follow(volume, server.processes)

    def _still_named(self, volume: str, process: Identity) -> bool | None:
        turn = self._turn(volume)
        if not turn.begin():
            return None
        try:
            server = self._records.load(volume)
            return server is not None and process in server.processes
        finally:
            turn.end()

    def close(self) -> None:
        self._shelf.close()
        self._watch.stop()
        self._spares.close()

    def space(self) -> Space:
        found = os.statvfs(self._root)
        return Space(total=found.f_blocks * found.f_frsize, free=found.f_bavail * found.f_frsize)


def _record_directory(root: Path) -> Path:
    private_directory(root / "run", 0o700)
    return root / "run" / "daemons"
