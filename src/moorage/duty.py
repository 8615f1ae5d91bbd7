"""
Host duty: the one process of a state directory that holds the host lock does all work on its daemons, files and devices.

Whoever has a duty tries to get the lock until it has it; then it adopts what is running, compares it with the rows, and
serves the host's queue.
"""

import logging
import threading
from collections.abc import Callable

from moorage.flows.rooms import Rooms
from moorage.operations.host_lock import HostLock
from moorage.operations.runner import Runner
from moorage.place import Place

log = logging.getLogger(__name__)

RETRY_S = 0.5


class HostDuty:
    """Gets the host lock, sooner or later, and serves the host's queue from then on."""

    def __init__(self, lock: HostLock, rooms: Rooms, runner: Runner, at_start: Callable[[], None]) -> None:
        self._lock, self._rooms, self._runner, self._at_start = lock, rooms, runner, at_start
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._wait, name="host-duty", daemon=True)
        self.held = threading.Event()

    def start(self) -> None:
        """Get the lock at once if it is free, otherwise go on trying on a thread."""
        if self._lock.try_acquire():
            self._take_up()
        else:
            log.warning("another process looks after this host; waiting to succeed it")
            self._thread.start()

    def stop(self) -> None:
        """Give the lock up. Nothing of this process touches the host any more by then."""
        self._stop.set()
        self._lock.release()

    def _wait(self) -> None:
        while not self._stop.wait(RETRY_S):
            if self._lock.try_acquire():
                self._take_up()
                return

    def _take_up(self) -> None:
        self._at_start()
        self._runner.serve(self._rooms.host_queue)
        self.held.set()
