"""
Watches daemons and gates, and says at once when one has ended that a record still names.

Each is held by a descriptor that the kernel makes readable at its end; whose children they are does not matter, so that
those of a predecessor are watched like our own.  Whoever ends one on purpose is at a verb of its volume, and has the
record changed by the time his turn is over: only then is it looked at.
"""

import logging
import os
import select
import threading
from collections.abc import Callable, Collection

from moorage.drivers.processes import Identity, look_at

log = logging.getLogger(__name__)

BUSY_PAUSE_S = 0.02  #: between two looks at a volume that has a verb under way

Died = Callable[[str], None]
StillNamed = Callable[[str, Identity], bool | None]  #: by the record of a volume; None: a verb is at it


class Watch:
    """Nobody is watched before `start`, and nobody after `stop`."""

    def __init__(self, still_named: StillNamed) -> None:
        self._still_named = still_named
        self._guard = threading.Lock()
        self._held: dict[str, dict[Identity, int]] = {}  #: descriptors by volume and process
        self._of: dict[int, tuple[str, Identity]] = {}
        self._ended: set[tuple[str, Identity]] = set()
        self._poll: select.epoll | None = None
        self._wake = -1
        self._stopped = False

    def start(self, died: Died) -> None:
        """Call `died` with the volume of each process that ends, on a thread of its own."""
        self._poll, self._wake = select.epoll(), os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll.register(self._wake, select.EPOLLIN)
        threading.Thread(target=self._loop, args=(died,), name="watch", daemon=True).start()

    def stop(self) -> None:
        """Say nothing any more."""
        with self._guard:
            self._stopped = True
            for held in self._held.values():
                for descriptor in held.values():
                    os.close(descriptor)
            self._held, self._of = {}, {}
            if self._poll is not None:
                os.eventfd_write(self._wake, 1)

    def follow(self, volume: str, processes: Collection[Identity]) -> None:
        """Watch these processes of `volume`, and no others of it."""
        with self._guard:
            if self._poll is None or self._stopped:
                return
            held = self._held.setdefault(volume, {})
            for process in held.keys() - set(processes):
                self._let_go(volume, process)
            for process in set(processes) - held.keys():
                self._take(volume, process)
            if not held:
                self._held.pop(volume, None)

    def _take(self, volume: str, process: Identity) -> None:
        assert self._poll is not None
        descriptor = look_at(process)
        if descriptor is None:
            self._ended.add((volume, process))
            os.eventfd_write(self._wake, 1)
        else:
            self._held[volume][process] = descriptor
            self._of[descriptor] = volume, process
            self._poll.register(descriptor, select.EPOLLIN)

    def _let_go(self, volume: str, process: Identity) -> None:
        descriptor = self._held[volume].pop(process)
        self._of.pop(descriptor)
        os.close(descriptor)  # which also takes it off the poll

    def _loop(self, died: Died) -> None:
        assert self._poll is not None
        while not self._stopped:
            for descriptor, _ in self._poll.poll(BUSY_PAUSE_S if self._ended else None):
                self._note(descriptor)
            with self._guard:
                ended = sorted(self._ended, key=lambda one: one[0])
            told: set[str] = set()
            for volume, process in ended:
                self._look(volume, process, died, told)
        with self._guard:
            self._poll.close()
            os.close(self._wake)
            self._poll = None

    def _note(self, descriptor: int) -> None:
        with self._guard:
            if descriptor == self._wake:
                os.eventfd_read(self._wake)
            elif descriptor in self._of:
                volume, process = self._of[descriptor]
                self._let_go(volume, process)
                self._ended.add((volume, process))

    def _look(self, volume: str, process: Identity, died: Died, told: set[str]) -> None:
        named = self._still_named(volume, process)
        if named is None or self._stopped:
            return
        with self._guard:
            self._ended.discard((volume, process))
        if named and volume not in told:
            told.add(volume)
            try:
                died(volume)
            except Exception:  # whoever looks at everything once a minute will find it
                log.exception("the death of a process of volume %s could not be told", volume)
