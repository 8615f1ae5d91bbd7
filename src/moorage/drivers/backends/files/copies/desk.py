"""
The desk: has the copies that are not whole served to whoever reads them, and fetches what these ask for.

A server is started for the first volume in use that lies on a copy and ended with the last, or once the copy is whole
and all its readers have been brought near to it.
"""

import logging
import threading
from collections.abc import Iterable

from moorage.core.errors import Problem
from moorage.drivers.backends.files import headers
from moorage.drivers.backends.files.copies.answering import Answering, patiently
from moorage.drivers.backends.files.copies.servers import Servers
from moorage.drivers.backends.files.copies.shelf import FAMILY, Shelf
from moorage.drivers.backends.files.readers import Readers
from moorage.drivers.backends.files.sockets import Sockets
from moorage.volumes.backend import CHUNK_BYTES, Format, Layer, Supply

log = logging.getLogger(__name__)

TURN_S = 5.0  #: how long one chunk is tried for before others have their turn, where patience has no end
REVIVE_S = 5.0  #: when it is tried again to start a server that readers need


class Unsupplied(Problem):
    """This process fetches nothing for copies."""

    status, code = 503, "backend.unsupplied"


class Desk:
    """Serves the copies of one shelf."""

    def __init__(self, shelf: Shelf, servers: Servers, readers: Readers, sockets: Sockets) -> None:
        self._shelf, self._servers, self._readers, self._sockets = shelf, servers, readers, sockets
        self._guard = threading.RLock()
        self._answering: dict[str, Answering] = {}
        self._supply: Supply | None = None
        self._closed = False

    def fill(self, name: str, chunk: int) -> int:
        """Leave the chunk there."""
        if self._supply is None:
            raise Unsupplied()
        return self._shelf.copy(name).fill(chunk, self._supply)

    def settle(self, name: str) -> bool:
        """Leave it durable; whether it is whole. Then daemons that run read it as a file from now on."""
        whole = self._shelf.settle(name)
        if whole and self._servers.standing(name) is not None:
            self._bring_near(name)
        return whole

    def _bring_near(self, name: str) -> None:
        if self._readers.bring_near(name):
            with self._guard:
                self._end(name)

    def _end(self, name: str) -> None:
        self._stop_answering(name)
        self._servers.end(name)

    def prime(self, layer: Layer) -> int:
        """Leave there, durable, what the driver of its format reads when it opens it."""
        if layer.format is not Format.QCOW2:
            return 0
        copy = self._shelf.copy(layer.name)
        moved = self.fill(layer.name, 0)
        with copy.data.open("rb") as file:
            header = headers.parse(file.read(headers.READ_BYTES))
        for at, length in header.tables:
            for chunk in range(at // CHUNK_BYTES, min((at + length - 1) // CHUNK_BYTES + 1, copy.book.count)):
                moved += self.fill(layer.name, chunk)
        copy.settle()
        return moved

    def serve(self, names: Iterable[str]) -> None:
        """Leave every copy among these layers served, unless it is whole. What lies on it is written down already."""
        for name in names:
            if name.startswith(FAMILY + "/"):
                with self._guard:
                    if not self._shelf.copy(name).book.whole:
                        self._servers.start(self._shelf.copy(name))
                        self._answer(name)

    def rest(self, names: Iterable[str]) -> None:
        """End the servers of the copies among these layers on which no volume in use lies any more."""
        for name in names:
            if name.startswith(FAMILY + "/"):
                with self._guard:
                    if not self._read(name):
                        self._end(name)

    def _read(self, name: str) -> bool:
        return any(True for _ in self._readers.of(name))

    def delete(self, name: str) -> None:
        """Leave nothing of the copy."""
        with self._guard:
            self._end(name)
            self._shelf.remove(name)

    def idle(self) -> None:
        """End the servers that serve nobody."""
        self.rest([found.copy for found in self._servers.all()])

    def supply(self, supply: Supply) -> None:
        """Fetch from `supply` from now on: also for readers whose servers a process before this one has started."""
        self._supply = supply
        self.idle()
        standing = [found.copy for found in self._servers.all()]
        for name in standing:
            self._revive(name)
        for name in standing:  # daemons may still read by one that was about to end when we were
            if self._shelf.whole(name):
                self._bring_near(name)

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
                if self._closed or not self._read(name):
                    return
                if self._servers.standing(name) is not None or not self._shelf.copy(name).book.whole:
                    self._servers.start(self._shelf.copy(name))
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
