"""
Hearing: every process that leases can be renewed at says that it is there, and has fenced what nobody renewed.

It begins once requests are answered.  Two such processes do no harm to one another.
"""

import logging
import threading
from collections.abc import Callable

from moorage.database import Database
from moorage.hosts import lease

log = logging.getLogger(__name__)

SIGN_S = 0.5  #: how often a sign of life is given while there are leases
IDLE_S = 1.0  #: how soon a first lease is noticed; shorter than any
SOON_S = 0.02


class Hearing:
    """Calls `listen` in time for each lapse, on a thread of its own."""

    def __init__(self, database: Database, listen: Callable[[], object]) -> None:
        self._database, self._listen = database, listen
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="hearing", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Hear nothing any more."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(5.0)

    def _loop(self) -> None:
        pause_s = 0.0
        while not self._stop.wait(pause_s):
            try:
                self._listen()
                pause_s = self._pause_s()
            except Exception:
                log.exception("renewals of leases could not be looked at")
                pause_s = SIGN_S

    def _pause_s(self) -> float:
        with self._database.read() as tx:
            until = lease.next_lapse(tx)
            if until is None:
                return IDLE_S
            return min(max((until - tx.now) / lease.SECOND, SOON_S), SIGN_S)
