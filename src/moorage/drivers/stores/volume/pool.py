"""
Readers of volumes: one attachment and one connection for each volume that this process reads, however many read it.

A stream holds nothing but its place. The connection is the pool's: kept while somebody reads, given back when nobody
has for a while, a stream whose client has stalled included, which goes on through another one when its client does.
"""

import contextlib
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator

from moorage.core.errors import Problem
from moorage.drivers.stores.volume import nbd
from moorage.drivers.stores.volume.holding import Holder, Holding
from moorage.drivers.stores.volume.service import LEASE_S

log = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
AHEAD = 2  #: chunks that a stream has asked for at once
STALLED_S = 60.0  #: a stream that nobody has read from for so long keeps nothing from being deleted
LOOK_S = 1.0


class Reading:
    """A volume as this process reads it."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.holding: Holding | None = None
        self.used = time.monotonic()
        self.streams: weakref.WeakSet[Stream] = weakref.WeakSet()

    def busy(self) -> bool:
        """Whether somebody is in the middle of reading."""
        now = time.monotonic()
        return any(not stream.over and now - stream.moved < STALLED_S for stream in list(self.streams))


class Pool:
    """The readings of one store."""

    def __init__(self, holder: Holder, idle_s: float, tend: Callable[[], None] = lambda: None) -> None:
        """`tend` is called every now and then, on the pool's own thread."""
        self._holder, self._idle_s, self._tend = holder, idle_s, tend
        self._guard = threading.Lock()
        self._readings: dict[str, Reading] = {}
        self._kept: weakref.WeakSet[Holding] = weakref.WeakSet()
        self._keeper: threading.Thread | None = None
        self._closed = False

    def stream(self, volume: str, offset: int, end: int) -> "Stream":
        """The bytes of the volume from `offset` to `end`."""
        reading = self._reading(volume)
        stream = Stream(self, volume, offset, end)
        reading.streams.add(stream)
        return stream

    def take(self, volume: str, mode: str) -> Holding:
        """The volume for one holder alone, who closes it; its lease is renewed as long as he has it."""
        holding = self._holder.take(volume, mode)
        with self._guard:
            self._kept.add(holding)
        self.look_after()
        return holding

    def connection(self, volume: str) -> nbd.Connection:
        """An open connection to the volume, the one that there is if it still works."""
        reading = self._reading(volume)
        with reading.guard:
            if reading.holding is not None and not reading.holding.connection.usable:
                self._close(reading)
            if reading.holding is None:
                reading.holding = self.take(volume, "ro")
            reading.used = time.monotonic()
            return reading.holding.connection

    def busy(self, volume: str) -> bool:
        """Whether somebody of this process is in the middle of reading the volume."""
        with self._guard:
            reading = self._readings.get(volume)
        return reading is not None and reading.busy()

    def forget(self, volume: str) -> None:
        """This process has no attachment of the volume any more."""
        with self._guard:
            reading = self._readings.pop(volume, None)
        if reading is not None:
            with reading.guard:
                self._close(reading)

    def close(self) -> None:
        """This process reads nothing more: it gives back what it holds, or leaves that to leases."""
        self._closed = True
        for holding in list(self._kept):
            with contextlib.suppress(Problem):
                holding.leave()

    def held(self) -> dict[str, str]:
        """The volumes that this process is attached to in order to read them, and by which attachment."""
        with self._guard:
            readings = dict(self._readings)
        return {volume: r.holding.attachment for volume, r in readings.items() if r.holding is not None}

    def _reading(self, volume: str) -> Reading:
        with self._guard:
            return self._readings.setdefault(volume, Reading())

    @staticmethod
    def _close(reading: Reading) -> None:
        holding, reading.holding = reading.holding, None
        if holding is not None:
            holding.close()

    def look_after(self) -> None:
        """Have a thread renew leases and end what is idle, as long as the pool is open."""
        with self._guard:
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._keep, name="volume-store", daemon=True)
                self._keeper.start()

    def _keep(self) -> None:
        renewed = time.monotonic()
        while not self._closed:
            time.sleep(LOOK_S)
            try:
                if time.monotonic() - renewed > LEASE_S / 3:
                    renewed = time.monotonic()
                    for holding in list(self._kept):
                        holding.renew()
                for volume, reading in list(self._readings.items()):
                    self._end_if_idle(volume, reading)
                self._tend()
            except Problem as problem:
                log.warning("looking after volumes: %s", problem)
            except Exception:
                if not self._closed:
                    log.exception("looking after volumes failed")

    def _end_if_idle(self, volume: str, reading: Reading) -> None:
        with reading.guard:
            if time.monotonic() - reading.used < self._idle_s:
                return
            self._close(reading)
        with self._guard:
            if not reading.streams:
                self._readings.pop(volume, None)


class Stream(Iterator[bytes]):
    """A part of a volume, in chunks."""

    def __init__(self, pool: Pool, volume: str, offset: int, end: int) -> None:
        self._pool, self._volume, self._next, self._end = pool, volume, offset, end
        self._window: deque[tuple[int, int, nbd.Pending]] = deque()
        self.moved = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether there is nothing left to be read."""
        return self._next >= self._end and not self._window

    def __next__(self) -> bytes:
        if self.over:
            raise StopIteration
        self.moved = time.monotonic()
        try:
            return self._chunk()
        except (nbd.Broken, nbd.Failed):  # its server died: the bytes never change, so they can be asked for again
            self._again()
            return self._chunk()

    def _again(self) -> None:
        """What was asked for and has not come is asked for anew, through another connection than that which failed."""
        if self._window:
            self._next = self._window[0][0]
            self._window[0][2].connection.abort("its server failed")
            self._window.clear()

    def _chunk(self) -> bytes:
        connection = self._pool.connection(self._volume)
        while self._next < self._end and len(self._window) < AHEAD:
            length = min(CHUNK_BYTES, self._end - self._next)
            pending = connection.read(self._next, length)
            self._window.append((self._next, length, pending))
            self._next += length
        _, _, pending = self._window[0]
        data = pending.result()
        self._window.popleft()
        self.moved = time.monotonic()
        return bytes(data)
