"""
Host duty: the one process of a state directory that holds the host lock does all work on its daemons, files and
devices.

Whoever has this duty tries to get the lock until it has it, and takes the work up then.
"""

import logging
import threading
from collections.abc import Callable

from moorage.operations.host_lock import HostLock

log = logging.getLogger(__name__)

RETRY_S = 0.5


class HostDuty:
    """Gets the host lock, sooner or later; `take_up` is called once, as soon as it is held."""

    def __init__(self, lock: HostLock, take_up: Callable[[], None]) -> None:
        self._lock, self._take_up = lock, take_up
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._wait, name="host-duty", daemon=True)

    def start(self) -> None:
        """Take up at once if the lock is free, otherwise go on trying on a thread."""
        if self._lock.try_acquire():
            self._take_up()
        else:
            log.warning("waiting to look after this host: %s", self._lock.why_not())
            self._thread.start()

    def stop(self) -> None:
        """Give the lock up. Nothing of this process may touch the host any more by then."""
        self._stop.set()
        self._lock.release()

    def _wait(self) -> None:
        while not self._stop.wait(RETRY_S):
            if self._lock.try_acquire():
                self._take_up()
                return
