"""
Doors to volumes: each is an export of the volume's daemon, with a gate for a client outside.

The daemon begins with the first door and ends with the last.  Nothing here decides that a client may be resumed:
`survey` says what can be known, and the rows decide.
"""

from collections.abc import Mapping
from contextlib import suppress

from moorage.core.errors import Problem, Refused
from moorage.drivers.backends.files import qmp
from moorage.drivers.backends.files.copies.desk import Desk
from moorage.drivers.backends.files.daemon import Daemons
from moorage.drivers.backends.files.export import Exports, identifier
from moorage.drivers.backends.files.gate import Gates, standing
from moorage.drivers.backends.files.layers import PART, Layers, lineage
from moorage.drivers.backends.files.problems import ServedOtherwise, ServerDied
from moorage.drivers.backends.files.records import Entry, Records, Server
from moorage.drivers.backends.files.spares import Spares
from moorage.drivers.backends.files.turns import Turns
from moorage.volumes.backend import BackendFull, BackendUnsure, Cache, Connection, Export, Layer, Served, WritesLost


class Doors:
    """Opens and shuts them, and tells which are there."""

    def __init__(
        self,
        turns: Turns,
        layers: Layers,
        records: Records,
        daemons: Daemons,
        spares: Spares,
        desk: Desk,
        exports: Exports,
        gates: Gates,
    ) -> None:
        self._turns, self._layers, self._records = turns, layers, records
        self._daemons, self._spares, self._desk = daemons, spares, desk
        self._exports, self._gates = exports, gates

    def publish(self, export: Export, head: Layer, cache: Cache) -> Connection:
        for word in (export.attachment, export.volume, export.name):
            if not PART.fullmatch(word):
                raise Refused(reason=f"{word!r} cannot be part of an export.")
        with self._turns.of(export.volume), self._daemons.conversation(export.volume):
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
            self._desk.rest(server.layers)
            server = None
        fresh = server is None
        if server is None:
            self._layers.check(head)
            server = self._start(volume, head, cache)
        elif server.head != head.name:
            raise ServedOtherwise(volume=volume, what=f"the head {server.head}")
        elif server.cache is not cache:
            raise ServedOtherwise(volume=volume, what=f"the cache mode {server.cache.value!r}")
        try:
            self._desk.serve(server.layers)
            self._daemons.load(server, head, fresh=fresh)
        except Exception:
            if not server.entries:
                self._end(server)
            raise
        return server

    def _end(self, server: Server) -> None:
        self._daemons.stop(server)
        self._desk.rest(server.layers)

    def _start(self, volume: str, head: Layer, cache: Cache) -> Server:
        names = tuple(layer.name for layer in lineage(head))
        server = Server(volume, self._records.home, head.name, head.format, cache, names)
        if not self._spares.give(server, lambda: self._records.save(server, durable=True)):
            self._daemons.start(server)
        return server

    def advance(self, volume: str, head: Layer) -> None:
        with self._turns.of(volume):
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
        if entry.gate is not None and not self._exports.is_open(server, entry):
            self._gates.shut(entry)  # its only connection ended with the export
        self._exports.open(server, entry)
        return self._gates.open(server, export)

    def withdraw(self, volume: str, attachment: str, *, careful: bool = False) -> None:
        with self._turns.of(volume), self._daemons.conversation(volume):
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
        try:
            self._records.save(server)
        except BackendFull:
            if server.entries:  # else the whole record is about to go, for which a full disk has room
                raise

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
            self._desk.rest(server.layers)

    def survey(self, volume: str | None = None) -> Mapping[str, Served]:
        found = {}
        for id in self._records.volumes() if volume is None else (volume,):
            turn = self._turns.of(id)
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

    def halt(self, volume: str) -> None:
        with self._turns.of(volume), self._daemons.conversation(volume):
            server = self._records.load(volume)
            if server is None or not self._records.alive(server):
                return
            for entry in list(server.entries.values()):
                self._shut(server, entry)
            self._records.save(server, durable=True)  # with nobody left who could have lost anything
            self._daemons.end(server)
            self._desk.rest(server.layers)

    def clear(self, volume: str) -> None:
        with self._turns.of(volume):
            server = self._records.load(volume)
            if server is None:
                self._daemons.forget(volume)
                return
            for entry in server.entries.values():
                self._gates.shut(entry)
            self._end(server)
