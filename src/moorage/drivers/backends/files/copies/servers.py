"""
The servers of copies: one process for each copy that is not whole and that a volume in use lies on.

A server outlives us, like a daemon, and is found again from its record.
"""

import fcntl
import hashlib
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from moorage.drivers import daemons
from moorage.drivers.backends.files import nbd
from moorage.drivers.backends.files.copies import server as program
from moorage.drivers.backends.files.copies.copy import Copy
from moorage.drivers.backends.files.problems import ServerRefused
from moorage.drivers.backends.files.rights import Rights, private_directory
from moorage.drivers.backends.files.sockets import Sockets
from moorage.drivers.processes import Identity
from moorage.drivers.scripts import FIRST_FREE_DESCRIPTOR, Script
from moorage.volumes.backend import BackendUnsure

PROGRAM = Script(Path(program.__file__))
START_PATIENCE_S = 10.0
END_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Patience:
    """How long a reader waits for bytes that have not come."""

    fault_s: float = 0.0  #: while somebody fetches them and does not succeed; 0: until he does
    absence_s: float = 0.0  #: while nobody fetches, since Moorage is stopped; 0: until it is back


@dataclass(frozen=True)
class Standing:
    """What is written down about a server."""

    copy: str
    home: int  #: inode of the state directory
    process: Identity


class Servers:
    """Starts, finds and ends servers. Verbs on one copy come one after the other; the caller sees to that."""

    def __init__(self, root: Path, sockets: Sockets, rights: Rights, backend: str, patience: Patience) -> None:
        self._home, self._sockets, self._rights, self._backend = root.stat().st_ino, sockets, rights, backend
        self._directory = root / "run" / "copies"
        private_directory(self._directory, 0o700)
        self.patience = patience

    def _path(self, copy: str) -> Path:
        return self._directory / (hashlib.sha256(copy.encode()).hexdigest()[:32] + ".json")

    def standing(self, copy: str) -> Standing | None:
        """What is written down of the server of `copy`, if it is ours."""
        return self._read(self._path(copy))

    def _read(self, path: Path) -> Standing | None:
        try:
            values = msgspec.json.decode(path.read_bytes())
            found = Standing(values["copy"], values["home"], Identity(**values["process"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):  # cut short by a power failure, which its server did not survive
            path.unlink(missing_ok=True)
            return None
        return found if found.home == self._home else None

    def all(self) -> Iterator[Standing]:
        """Every server that is written down, dead or alive."""
        for path in sorted(self._directory.glob("*.json")):
            found = self._read(path)
            if found is None:
                path.unlink(missing_ok=True)
            else:
                yield found

    def alive(self, copy: str) -> bool:
        """Whether the server of `copy` runs."""
        found = self.standing(copy)
        return found is not None and found.process.alive()

    def start(self, copy: Copy) -> None:
        """Leave a server running for `copy`."""
        if self.alive(copy.name):
            return
        serves, asks = self._sockets.copy(copy.name), self._sockets.fetcher(copy.name)
        with self._sockets.listen(serves) as nbd_socket, self._sockets.listen(asks) as ask_socket:
            if self._rights.separate:
                os.chown(serves, self._rights.daemon_uid, -1)
            with _opened(copy.data) as data, _opened(copy.book_path) as book, PROGRAM.opened() as script:
                given = (data, book, nbd_socket.fileno(), ask_socket.fileno())
                numbers = (
                    *given,
                    copy.book.size,
                    int(self.patience.fault_s),
                    int(self.patience.absence_s),
                    self._rights.daemon_uid,
                    self._rights.daemon_gid,
                )
                argv = [sys.executable, "-I", "-S", script.path, *map(str, numbers), str(serves)]
                daemon = daemons.start(argv, inherit=(*given, script.descriptor))
        try:
            self._save(Standing(copy.name, self._home, daemon.identity))
            daemon.go()
            if not nbd.greets(socket.AF_UNIX, str(serves), START_PATIENCE_S):
                raise BackendUnsure(backend=self._backend, verb="start")
            daemon.release()
        except BaseException as error:
            said = daemon.abandon()
            self._forget(copy.name)
            if isinstance(error, BackendUnsure) and said:
                raise ServerRefused(volume=copy.name, verb="start", why=said) from error
            raise

    def _save(self, standing: Standing) -> None:
        path = self._path(standing.copy)
        draft = path.with_suffix(".new")
        with draft.open("wb", buffering=0) as file:
            file.write(msgspec.json.encode(asdict(standing)))
            os.fsync(file.fileno())
        draft.replace(path)

    def _forget(self, copy: str) -> None:
        for path in (self._sockets.copy(copy), self._sockets.fetcher(copy), self._path(copy).with_suffix(".new")):
            path.unlink(missing_ok=True)
        self._path(copy).unlink(missing_ok=True)

    def end(self, copy: str) -> None:
        """Leave no server of `copy`."""
        found = self.standing(copy)
        if found is not None and not found.process.end(END_PATIENCE_S):
            raise BackendUnsure(backend=self._backend, verb="stop")
        self._forget(copy)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A descriptor of the file, for reading, that a process may inherit."""
    low = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        high = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE_DESCRIPTOR)
    finally:
        os.close(low)
    try:
        yield high
    finally:
        os.close(high)
