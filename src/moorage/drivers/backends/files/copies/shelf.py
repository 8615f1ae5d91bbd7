"""
The shelf: all copies of one backend, what is known of each, and who serves those that are not whole.

A copy is a file `copies/<image>/<maker>` with its book beside it.  Once it is whole it is a file like any other:
whoever opens it from then on reads it directly.  Until then daemons read it through a server, which is started for the
first volume in use that lies on it and ended with the last.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from moorage.core.errors import Problem, Refused
from moorage.drivers.backends.files import headers
from moorage.drivers.backends.files.copies import book
from moorage.drivers.backends.files.copies.copy import Copy, put
from moorage.drivers.backends.files.copies.serving import Answering, Patience, Servers, patiently
from moorage.drivers.backends.files.layers import PART, UNFINISHED, room_for, sync
from moorage.drivers.backends.files.problems import LayerMissing
from moorage.drivers.backends.files.rights import Rights, private_directory
from moorage.drivers.backends.files.sockets import Sockets
from moorage.volumes.backend import CHUNK_BYTES, Format, Layer, Supply

log = logging.getLogger(__name__)

FAMILY = "copies"
TURN_S = 5.0  #: how long one chunk is tried for before others have their turn, where patience has no end
REVIVE_S = 5.0  #: when it is tried again to start a server that readers need


class Unsupplied(Problem):
    """This process fetches nothing for copies."""

    status, code = 503, "backend.unsupplied"


class Shelf:
    """The copies below one directory; `lain_on` says whether a volume in use lies on the copy of that name."""

    def __init__(
        self,
        root: Path,
        sockets: Sockets,
        rights: Rights,
        backend: str,
        patience: Patience,
        lain_on: Callable[[str], bool],
    ) -> None:
        self._root, self._sockets, self._rights, self._backend = root, sockets, rights, backend
        self._lain_on = lain_on
        private_directory(root / FAMILY, 0o711)
        self._servers = Servers(root, sockets, rights, backend, patience)
        self._guard = threading.RLock()
        self._open: dict[str, Copy] = {}
        self._answering: dict[str, Answering] = {}
        self._supply: Supply | None = None
        self._closed = False

    def _paths(self, name: str) -> tuple[Path, Path]:
        parts = name.split("/")
        if len(parts) != 3 or parts[0] != FAMILY or not all(PART.fullmatch(part) for part in parts):
            raise Refused(reason=f"{name!r} is not the name of a copy.")
        data = self._root.joinpath(*parts)
        return data, book.beside(data)

    def names(self) -> frozenset[str]:
        """All copies, and what is left of any."""
        found = set()
        for at, _, files in os.walk(self._root / FAMILY):
            for file in files:
                path = os.path.relpath(os.path.join(at, file), self._root)
                found.add(path.removesuffix(UNFINISHED).removesuffix(book.SUFFIX))
        return frozenset(found)

    def make(self, name: str, size: int, digests: bytes) -> None:
        """Leave a copy with nothing in it, or as it is if there is one."""
        data, page = self._paths(name)
        with self._guard:
            if page.exists():
                return
            with room_for(len(digests), self._backend):
                private_directory(data.parent, 0o711)
                with self._new(data) as descriptor:
                    os.ftruncate(descriptor, size)
                    os.fsync(descriptor)
                self._enter(page, book.text(size, digests))

    def pour(self, name: str, size: int, chunks: Iterable[bytes]) -> None:
        """Leave a copy of exactly these bytes, whole at once."""
        data, page = self._paths(name)
        if page.exists():
            return
        draft = data.with_name(data.name + UNFINISHED)
        try:
            with room_for(size, self._backend):
                private_directory(data.parent, 0o711)
                with self._new(draft) as descriptor:
                    _pour(descriptor, name, size, chunks)
                draft.replace(data)
                self._enter(page, book.text(size, b"", whole=True))
        except BaseException:
            draft.unlink(missing_ok=True)
            raise

    @contextmanager
    def _new(self, path: Path) -> Iterator[int]:
        """A new file that daemons can read and nobody but us can write."""
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            if self._rights.separate:
                os.fchown(descriptor, 0, self._rights.daemon_gid)
                os.fchmod(descriptor, 0o640)
            yield descriptor
        finally:
            os.close(descriptor)

    def _enter(self, page: Path, content: bytes) -> None:
        sync(page.parent)
        book.write(page, content)
        sync(page.parent)
        sync(page.parent.parent)

    def copy(self, name: str) -> Copy:
        """The open copy."""
        with self._guard:
            if name not in self._open:
                try:
                    self._open[name] = Copy(name, *self._paths(name), self._backend)
                except FileNotFoundError:
                    raise LayerMissing(layer=name) from None
            return self._open[name]

    def missing(self, name: str) -> Sequence[int]:
        """The chunks that are not there."""
        return self.copy(name).book.missing()

    def fill(self, name: str, chunk: int) -> int:
        """Leave the chunk there."""
        if self._supply is None:
            raise Unsupplied()
        return self.copy(name).fill(chunk, self._supply)

    def settle(self, name: str) -> bool:
        """Leave it durable; whether it is whole."""
        return self.copy(name).settle()

    def prime(self, layer: Layer) -> int:
        """Leave there, durable, what the driver of its format reads when it opens it."""
        if layer.format is not Format.QCOW2:
            return 0
        copy = self.copy(layer.name)
        moved = self.fill(layer.name, 0)
        with copy.data.open("rb") as file:
            header = headers.parse(file.read(headers.READ_BYTES))
        for at, length in header.tables:
            for chunk in range(at // CHUNK_BYTES, min((at + length - 1) // CHUNK_BYTES + 1, copy.book.count)):
                moved += self.fill(layer.name, chunk)
        copy.settle()
        return moved

    def delete(self, name: str) -> None:
        """Leave nothing of the copy."""
        data, page = self._paths(name)
        with self._guard:
            self._stop_answering(name)
            self._servers.end(name)
            copy = self._open.pop(name, None)
            if copy is not None:
                copy.gone()
            for path in (page, data, *(p.with_name(p.name + UNFINISHED) for p in (page, data))):
                path.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            sync(data.parent)
        with suppress(OSError):
            data.parent.rmdir()
            sync(data.parent.parent)

    def address(self, name: str) -> Path | None:
        """Where a copy that is not whole is served; None: it is a file like any other layer."""
        if not name.startswith(FAMILY + "/") or self.copy(name).book.whole:
            return None
        return self._sockets.copy(name)

    def serve(self, names: Iterable[str]) -> None:
        """Leave every copy among these layers served, unless it is whole. What lies on it is written down already."""
        for name in names:
            if name.startswith(FAMILY + "/"):
                with self._guard:
                    if not self.copy(name).book.whole:
                        self._servers.start(self.copy(name))
                        self._answer(name)

    def rest(self, names: Iterable[str]) -> None:
        """End the servers of the copies among these layers on which no volume in use lies any more."""
        for name in names:
            if name.startswith(FAMILY + "/"):
                with self._guard:
                    if not self._lain_on(name):
                        self._stop_answering(name)
                        self._servers.end(name)

    def served(self, name: str) -> bool:
        """Whether there is a server of the copy, dead or alive."""
        return self._servers.standing(name) is not None

    def lingering(self) -> list[str]:
        """The copies that are whole, and have servers that daemons may still read them by."""
        names = [found.copy for found in self._servers.all()]
        return [name for name in names if self._paths(name)[1].exists() and self.copy(name).book.whole]

    def retire(self, name: str) -> None:
        """End the server of a copy that no daemon reads by it any more."""
        with self._guard:
            self._stop_answering(name)
            self._servers.end(name)

    def idle(self) -> None:
        """End the servers that serve nobody."""
        self.rest([found.copy for found in self._servers.all()])

    def supply(self, supply: Supply) -> None:
        """Fetch from `supply` from now on: also for readers whose servers a process before this one has started."""
        self._supply = supply
        self.idle()
        for found in list(self._servers.all()):
            self._revive(found.copy)

    def let_go(self, names: Iterable[str], pid: int) -> None:
        """Have the reads of that daemon wait no longer for bytes of these copies that do not come: they are errors."""
        with self._guard:
            waited = [self._answering[name] for name in names if name in self._answering]
        for answering in waited:
            answering.let_go(pid)

    def close(self) -> None:
        """Fetch nothing more; servers go on."""
        with self._guard:
            for name in list(self._answering):
                self._stop_answering(name)
            self._closed = True

    def _answer(self, name: str) -> None:
        if self._supply is not None and name not in self._answering and not self._closed:
            address = self._sockets.fetcher(name)
            self._answering[name] = Answering(name, address, lambda chunk: self._fetch(name, chunk), self._over)

    def _stop_answering(self, name: str) -> None:
        answering = self._answering.pop(name, None)
        if answering is not None:
            answering.stop()

    def _over(self, name: str) -> None:
        """A server has hung up: it has died, unless somebody ended it."""
        with self._guard:
            self._stop_answering(name)
        self._revive(name)

    def _revive(self, name: str) -> None:
        """Serve a copy that volumes in use lie on, whatever has become of its server."""
        try:
            with self._guard:
                if self._closed or not self._lain_on(name):
                    return
                if self._servers.standing(name) is not None or not self.copy(name).book.whole:
                    self._servers.start(self.copy(name))
                    self._answer(name)
        except Exception:
            log.exception("copy %s is not served", name)
            again = threading.Timer(REVIVE_S, self._revive, (name,))
            again.daemon = True
            again.start()

    def _fetch(self, name: str, chunk: int) -> bool:
        """Leave a chunk there that a reader waits for, if that can be done in time; the supply hears how it went."""
        failures: list[Problem] = []

        def failed(problem: Exception) -> None:
            if not isinstance(problem, Problem):
                log.error("chunk %s of %s could not be fetched", chunk, name, exc_info=problem)
            failures.append(problem if isinstance(problem, Problem) else Problem())
            self._tell(name, failures[-1])

        patience_s = self._servers.patience.fault_s or TURN_S
        well = patiently(lambda: self.fill(name, chunk), failed, lambda: self._closed, patience_s)
        if well and failures:
            self._tell(name, None)
        return well

    def _tell(self, name: str, problem: Problem | None) -> None:
        try:
            if self._supply is not None:
                self._supply.told(name, problem)
        except Exception:
            log.exception("the state of copy %s could not be told", name)


def _pour(descriptor: int, name: str, size: int, chunks: Iterable[bytes]) -> None:
    at = 0
    for chunk in chunks:
        put(descriptor, chunk, at)
        at += len(chunk)
    if at != size:
        raise Refused(reason=f"{at} bytes came for {name}, not {size}.")
    os.ftruncate(descriptor, size)
    os.fsync(descriptor)
