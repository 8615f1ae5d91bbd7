"""
Where sockets are and who may open them.

Names are hashes, since a path of 108 bytes fails.  Every socket is bound by us, gets its mode and owner, and only then
listens; daemons and gates inherit it listening.  So there is no moment at which the wrong one gets in, and none at
which a client finds nobody.
"""

import fcntl
import hashlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from moorage.core.errors import Refused, Unavailable
from moorage.drivers.backends.files.rights import private_directory

PATH_LIMIT_BYTES = 107
FIRST_FREE_DESCRIPTOR = 10  #: the shell that starts daemons can name those below
BACKLOG = 128
PORT_TRIES = 64


class NoPort(Unavailable):
    """No port between {first} and {last} is free on {host}."""

    code = "backend.no-port"


@dataclass(frozen=True)
class Sockets:
    """The runtime directory."""

    directory: Path
    door_gid: int | None = None

    def prepare(self) -> None:
        """Leave the directories there, closed to everybody but us and the group of the doors."""
        gid = -1 if self.door_gid is None else self.door_gid
        private_directory(self.directory, 0o711)
        private_directory(self.directory / "d", 0o700)
        private_directory(self.directory / "c", 0o711)
        private_directory(self.directory / "g", 0o700 if self.door_gid is None else 0o710, gid)
        private_directory(self.directory / "k", 0o711)
        if len(os.fsencode(self.gate("x"))) > PATH_LIMIT_BYTES:
            raise Refused(reason=f"The path {self.directory} is too long for sockets.")

    def monitor(self, volume: str) -> Path:
        """Where the daemon of `volume` takes commands."""
        return self.directory / "d" / f"{_short(volume)}.qmp"

    def exports(self, volume: str) -> Path:
        """Where the daemon of `volume` serves."""
        return self.directory / "d" / f"{_short(volume)}.nbd"

    def gate(self, name: str) -> Path:
        """Where the gate to the export `name` listens."""
        return self.directory / "g" / _short(name)

    def key(self, name: str) -> Path:
        """The file with the key of the gate to the export `name`."""
        return self.directory / "k" / _short(name)

    def copy(self, name: str) -> Path:
        """Where the copy `name` is served to daemons."""
        return self.directory / "c" / _short(name)

    def fetcher(self, name: str) -> Path:
        """Where the server of the copy `name` says what it waits for."""
        return self.directory / "d" / f"{_short(name)}.ask"

    def hand_over(self, spare: str, volume: str) -> None:
        """What the daemon of `spare` listens on is found where that of `volume` is looked for."""
        self.monitor(spare).rename(self.monitor(volume))
        self.exports(spare).rename(self.exports(volume))

    def listen(self, path: Path, *, door: bool = False) -> socket.socket:
        """A socket that listens at `path`, which nobody but us, or the group of the doors, can open."""
        path.unlink(missing_ok=True)
        listener = _high(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC))
        listener.bind(str(path))
        path.chmod(0o660 if door and self.door_gid is not None else 0o600)
        if door and self.door_gid is not None:
            os.chown(path, -1, self.door_gid)
        listener.listen(BACKLOG)
        listener.setblocking(False)  # two threads of a starting daemon may accept at once: one would wait for ever
        return listener


def listen_tcp(host: str, ports: tuple[int, int], name: str) -> socket.socket:
    """A socket that listens on a port of `host` that follows from `name`, so that a replay finds its old one."""
    first, last = ports
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for attempt in range(PORT_TRIES):
        digest = hashlib.sha256(f"{name}/{attempt}".encode()).digest()
        listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, first + int.from_bytes(digest[:8]) % (last - first + 1)))
            listener.listen(BACKLOG)
            return listener
        except OSError:
            listener.close()
    raise NoPort(first=first, last=last, host=host)


def connect(path: Path, patience_s: float) -> socket.socket:
    """A connection to the socket at `path`, for a process to inherit."""
    connection = _high(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC))
    try:
        connection.settimeout(patience_s)
        connection.connect(str(path))
        connection.settimeout(None)
    except BaseException:
        connection.close()
        raise
    return connection


def _high(made: socket.socket) -> socket.socket:
    descriptor = fcntl.fcntl(made.fileno(), fcntl.F_DUPFD_CLOEXEC, FIRST_FREE_DESCRIPTOR)
    made.close()
    return socket.socket(fileno=descriptor)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
