"""
Gates: for every client outside, a process of his own that knows one export and nothing else.

A gate is an `nbdkit` that inherits a listening socket and one connection to the daemon, both opened by us: its user can
open neither the daemon's socket nor a volume's file.  It lists nothing, answers to one name, refuses writes where the
attachment is read-only, and with TLS admits only who has the key, which is in a file and in no argument.
"""

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from moorage.core.errors import Refused
from moorage.drivers import daemons, programs
from moorage.drivers.backends.files import nbd, sockets
from moorage.drivers.backends.files.layers import missing
from moorage.drivers.backends.files.problems import GateFailed
from moorage.drivers.backends.files.records import Entry, Records, Server
from moorage.drivers.backends.files.rights import Rights, give
from moorage.volumes.backend import BackendUnsure, Connection, Door, Export

SECRET = re.compile(r"(?:[0-9a-f]{2}){16,64}")
CONNECTIONS = 64  #: of one holder at once; his processes' threads and memory are ours
OPEN_PATIENCE_S = 10.0
END_PATIENCE_S = 10.0


@dataclass(frozen=True)
class TlsDoor:
    """Where gates with TLS listen."""

    listen_host: str = "127.0.0.1"
    shown_host: str | None = None  #: what clients are told; by default the same
    ports: tuple[int, int] = (61000, 65535)  #: above those that the kernel gives to outgoing connections


class Gates:
    """Opens and shuts gates."""

    def __init__(self, records: Records, places: sockets.Sockets, rights: Rights, tls: TlsDoor) -> None:
        self._records = records
        self._sockets = places
        self._rights = rights
        self._tls = tls

    def open(self, server: Server, export: Export) -> Connection:
        """Leave the door of `export` open, a gate behind it where it needs one; say where it is."""
        entry = server.entries[export.attachment]
        if export.door is not Door.PRIVATE and not standing(entry):
            self._start(server, entry, export)
        return self._connection(server.volume, entry)

    def _start(self, server: Server, entry: Entry, export: Export) -> None:
        with self._listen(entry, export) as listener:
            if export.door is Door.TLS:
                entry.port = listener.getsockname()[1]
            try:
                with sockets.connect(self._sockets.exports(server.volume), OPEN_PATIENCE_S) as inherited:
                    argv = self._argv(entry, inherited.fileno())
                    gate = daemons.start(
                        argv, account=self._rights.gate, inherit=(inherited.fileno(),), listening=listener
                    )
            except programs.ProgramMissing as problem:
                raise missing(problem, self._records.backend) from problem
            except OSError as error:
                raise GateFailed(attachment=entry.attachment, why=str(error)) from error
            address = listener.getsockname()
            family = listener.family
        entry.gate = gate.identity
        self._records.save(server)
        gate.go()
        if nbd.greets(family, address, OPEN_PATIENCE_S):
            gate.release()
        else:
            if said := gate.abandon():
                raise GateFailed(attachment=entry.attachment, why=said)
            raise BackendUnsure(backend="files", verb="open")  # it was silent and is gone: to be tried again

    def _listen(self, entry: Entry, export: Export) -> socket.socket:
        if export.door is Door.SOCKET:
            return self._sockets.listen(self._sockets.gate(entry.name), door=True)
        if not SECRET.fullmatch(export.secret or ""):
            raise Refused(reason="A door with TLS needs a secret of 128 bits or more, in hex.")
        self._write_key(self._sockets.key(entry.name), f"{entry.attachment}:{export.secret}\n")
        return sockets.listen_tcp(self._tls.listen_host, self._tls.ports, entry.name)

    def _write_key(self, path: Path, line: str) -> None:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            give(descriptor, self._rights.gate)
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def _argv(self, entry: Entry, descriptor: int) -> list[str]:
        key = f"--tls-psk={self._sockets.key(entry.name)}"
        tls = ["--tls=require", key] if entry.door is Door.TLS else ["--tls=off"]
        mode = ["-r"] if entry.read_only else []
        only = ["exportname-list=empty", "exportname-strict=true", f"exportname={entry.name}"]
        source = [f"socket-fd={descriptor}", f"export={entry.name}"]
        filters = ["--filter=exportname", "--filter=limit"]
        return ["nbdkit", "-f", *mode, *tls, *filters, "nbd", *source, *only, f"limit={CONNECTIONS}"]

    def _connection(self, volume: str, entry: Entry) -> Connection:
        if entry.door is Door.TLS:
            host = self._tls.shown_host or self._tls.listen_host
            shown = f"[{host}]" if ":" in host else host
            uri = f"nbds://{entry.attachment}@{shown}:{entry.port}/{entry.name}"
            return Connection(uri, host=host, port=entry.port)
        path = self._sockets.exports(volume) if entry.door is Door.PRIVATE else self._sockets.gate(entry.name)
        return Connection(f"nbd+unix:///{entry.name}?socket={path}", socket=str(path))

    def shut(self, entry: Entry) -> None:
        """Leave no gate, socket or key of `entry`. This alone fences nothing."""
        if entry.gate is not None and not entry.gate.end(END_PATIENCE_S):
            raise BackendUnsure(backend=self._records.backend, verb="withdraw")
        self._sockets.gate(entry.name).unlink(missing_ok=True)
        self._sockets.key(entry.name).unlink(missing_ok=True)


def standing(entry: Entry) -> bool:
    """Whether the door of `entry` has the gate that it needs."""
    return entry.door is Door.PRIVATE or (entry.gate is not None and entry.gate.alive())
