"""
Spare daemons: started for nobody yet, so that the next volume need not wait for one to start.

A spare has a record of its own, which goes once a volume's record names its process.  A successor of this process takes
over its spares; `close` ends them.  Backends share a directory of sockets, so a spare's name says whose it is: a volume
that got the sockets of one daemon and the process of another could not be fenced.
"""

import threading
from collections.abc import Callable
from contextlib import suppress

from moorage.core.errors import Problem
from moorage.drivers.backends.files.daemon import Daemons
from moorage.drivers.backends.files.layers import short
from moorage.drivers.backends.files.records import Records, Server
from moorage.drivers.backends.files.sockets import Sockets
from moorage.drivers.processes import Identity
from moorage.volumes.backend import Cache, Format

MOST = 8


def names(backend: str) -> tuple[str, ...]:
    """What the spares of that backend are called: few and fixed, so that what a crash left under them is found."""
    return tuple(f"spare-{short(backend)}-{number}" for number in range(MOST))


class Spares:
    """At most `count` of them, topped up behind the caller's back. With none wanted, it does nothing."""

    def __init__(
        self, count: int, daemons: Daemons, records: Records, sockets: Sockets, in_use: Callable[[], set[Identity]]
    ) -> None:
        self._count = count
        self._names = names(daemons.backend)
        self._daemons = daemons
        self._records = records
        self._sockets = sockets
        self._in_use = in_use
        self._guard = threading.Lock()
        self._ready: list[Server] | None = None  #: unknown until somebody needs one
        self._filling: threading.Thread | None = None

    def give(self, server: Server, save: Callable[[], None]) -> bool:
        """Whether there was one for `server`; then `save` has written down whose it is."""
        if not self._count:
            return False
        with self._guard:
            ready = self._known()
            spare = ready.pop() if ready else None
            self._fill()
        if spare is None:
            return False
        try:
            self._sockets.hand_over(spare.volume, server.volume)
            server.process = spare.process
            save()
        except FileNotFoundError:  # somebody tidied up
            self._daemons.stop(spare)
            return False
        except BaseException:
            self._daemons.stop(spare)
            raise
        self._records.remove(spare.volume)
        return self._records.alive(server)

    def close(self) -> None:
        """End all that are nobody's."""
        if not self._count:
            return
        with self._guard:
            self._count = 0
        if self._filling is not None:
            self._filling.join()
        for spare in self._known():
            self._daemons.stop(spare)
        self._ready = []

    def _known(self) -> list[Server]:
        """Those that are ready; at first, what a predecessor left, of which some may be a volume's by now."""
        if self._ready is None:
            self._ready = []
            taken = self._in_use()
            self._end_nameless(taken)
            for name in self._names:
                spare = self._records.load(name)
                if spare is None or spare.process in taken:
                    self._daemons.forget(name)
                elif self._records.alive(spare) and self._sockets.exports(name).exists():
                    self._ready.append(spare)
                else:
                    self._daemons.stop(spare)
        return self._ready

    def _end_nameless(self, taken: set[Identity]) -> None:
        """End what a release before this one left, whose spares had the same names, and sockets, in all backends."""
        for name in [name for name in self._records.volumes() if name not in self._names]:
            spare = self._records.load(name)
            if spare is not None and spare.process not in taken:
                self._daemons.kill(spare, "stop")
            self._daemons.forget(name)

    def _fill(self) -> None:
        if self._filling is None or not self._filling.is_alive():
            self._filling = threading.Thread(target=self._top_up, name="spare daemons", daemon=True)
            self._filling.start()

    def _top_up(self) -> None:
        with suppress(Problem, OSError):  # whoever needs a daemon then starts it himself, and hears what is wrong
            while name := self._wanted():
                spare = Server(name, self._records.home, "", Format.RAW, Cache.BACK, ())
                self._daemons.start(spare)
                with self._guard:
                    self._known().append(spare)

    def _wanted(self) -> str | None:
        """A name for another spare, as long as there are too few."""
        with self._guard:
            ready = {spare.volume for spare in self._known()}
            if len(ready) >= self._count:
                return None
            free = (name for name in self._names if name not in ready and self._records.load(name) is None)
            return next(free, None)
