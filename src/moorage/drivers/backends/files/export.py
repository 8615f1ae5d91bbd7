"""
Exports of a daemon: opened for one attachment, closed for good, flushed behind it.

Closing waits for the daemon's word that the export is deleted: it gives it once no request of it is under way any more.
That is the fence.  A clean disconnect of an NBD client flushes nothing, so we do it, through a short export of our own.
"""

import errno
import time

from moorage.core.ids import new_secret
from moorage.drivers.backends.files import nbd, qmp
from moorage.drivers.backends.files.daemon import Daemons, node
from moorage.drivers.backends.files.problems import NotDurable
from moorage.drivers.backends.files.records import Entry, Server
from moorage.drivers.backends.files.sockets import Sockets
from moorage.volumes.backend import BackendFull, BackendUnsure, Cache

CLOSE_PATIENCE_S = 60.0
FLUSH_PATIENCE_S = 300.0
PING_S = 2.0
FLUSH = "flush"  #: what the daemon calls the export of our own


class Exports:
    """What daemons serve."""

    def __init__(self, daemons: Daemons, sockets: Sockets) -> None:
        self._daemons = daemons
        self._sockets = sockets

    def is_open(self, server: Server, entry: Entry) -> bool:
        """Whether clients can use the export of `entry`, for whoever is in a conversation with the daemon."""
        with self._daemons.talk(server, "publish") as monitor:
            return identifier(entry.name) in _known(monitor)

    def open(self, server: Server, entry: Entry) -> None:
        """Leave the export of `entry` open."""
        with self._daemons.talk(server, "publish") as monitor:
            try:
                _add(monitor, server, identifier(entry.name), entry.name, writable=not entry.read_only)
            except qmp.Refusal:
                if identifier(entry.name) not in _known(monitor):
                    raise

    def opened(self, server: Server) -> frozenset[str]:
        """The identifiers of all exports that clients can use now."""
        with qmp.Monitor(self._sockets.monitor(server.volume)) as monitor:
            return _known(monitor)

    def close(self, server: Server, identifier: str) -> None:
        """Leave no export of that identifier. When this returns, no write through it lands any more."""
        with self._daemons.talk(server, "withdraw") as monitor:
            _close(monitor, identifier, self._daemons.backend)

    def flush(self, server: Server) -> None:
        """Leave every write that the daemon has acknowledged durable."""
        with self._daemons.talk(server, "flush") as monitor:
            name = new_secret()
            try:
                _add(monitor, server, FLUSH, name, writable=True)
            except qmp.Refusal:
                _close(monitor, FLUSH, self._daemons.backend)  # of somebody who was killed here
                _add(monitor, server, FLUSH, name, writable=True)
            try:
                self._flush(server, name)
            finally:
                _close(monitor, FLUSH, self._daemons.backend)

    def _flush(self, server: Server, name: str) -> None:
        try:
            with nbd.Client(self._sockets.exports(server.volume), name, FLUSH_PATIENCE_S) as client:
                client.request(nbd.FLUSH)
        except nbd.Failed as error:
            if error.args[0] in (errno.ENOSPC, errno.EDQUOT):
                raise BackendFull(backend=self._daemons.backend, needed=0) from error
            raise NotDurable(volume=server.volume, why=f"error {error}") from error
        except nbd.Broken as error:
            raise BackendUnsure(backend=self._daemons.backend, verb="flush") from error


def identifier(name: str) -> str:
    """What the daemon calls the export `name` among its own."""
    return f"e{name}"


def _add(monitor: qmp.Monitor, server: Server, identifier: str, name: str, *, writable: bool) -> None:
    options = {"writable": True} if writable else {}  # neither is anything unless it is asked for
    if writable and server.cache is Cache.THROUGH:
        options["writethrough"] = True
    monitor.ask("block-export-add", type="nbd", id=identifier, node_name=node(server.head), name=name, **options)


def _close(monitor: qmp.Monitor, identifier: str, backend: str) -> None:
    monitor.forget("BLOCK_EXPORT_DELETED", id=identifier)  # of one that was closed earlier in this conversation
    try:
        monitor.ask("block-export-del", id=identifier, mode="hard")
    except qmp.Refusal:
        found = _present(monitor)
        if identifier not in found:
            return
        if not found[identifier]:  # else somebody has begun to close it
            raise
    begun = hurried = time.monotonic()
    while not monitor.wait("BLOCK_EXPORT_DELETED", PING_S, id=identifier):
        if identifier not in _present(monitor):
            return
        if time.monotonic() > hurried + monitor.hurry.every_s:
            hurried = time.monotonic()
            monitor.hurry.act()
        if (
            time.monotonic() > begun + CLOSE_PATIENCE_S
        ):  # it answers, so the disk is slow: killing it would only hit siblings
            raise BackendUnsure(backend=backend, verb="withdraw")


def _present(monitor: qmp.Monitor) -> dict[str, bool]:
    return {row["id"]: row["shutting-down"] for row in monitor.ask("query-block-exports")}


def _known(monitor: qmp.Monitor) -> frozenset[str]:
    return frozenset(name for name, closing in _present(monitor).items() if not closing)
