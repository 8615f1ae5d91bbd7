"""
The tail of the events, for coroutines that follow them: read once for all of them, kept for a while, in order.

What this process commits is known of at once; what other processes commit is found by looking, four times a second,
while anybody follows. Who is further behind than the tail is long reads the database, a batch at a time, so that a slow
reader costs no memory.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from moorage.core.errors import Unavailable
from moorage.database import Database
from moorage.operations import events
from moorage.operations.events import Wanted

log = logging.getLogger(__name__)

LOOK_S = 0.25  #: how often one looks for what other processes have committed
REST_S = 0.01  #: between two looks, however much is committed
KEPT = 2048  #: events in memory
BATCH = 256  #: events that a reader is given at a time
FOLLOWERS = 256  #: who may follow at the same time, in one process

Batch = tuple[Sequence[Mapping[str, Any]], int]


class TooManyFollow(Unavailable):
    """{count} readers follow the events here already; list them instead, or try again later."""

    code = "event.too-many-follow"


class Tail:
    """The newest events. All coroutines are of one event loop; the database is read on `executor` only."""

    def __init__(self, database: Database, executor: Executor) -> None:
        self._database, self._executor = database, executor
        self._kept: deque[Mapping[str, Any]] = deque()
        self._low = self._high = -1  # all events after `low`, up to `high`, are kept
        self._followers, self._closed = 0, False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._poller: asyncio.Task[None] | None = None
        self._committed, self._news = asyncio.Event(), asyncio.Event()
        self._unlisten = database.listen(events.RECORDED, self._recorded)

    def must_have_room(self) -> None:
        """Raise `TooManyFollow` where nobody else may."""
        if self._followers >= FOLLOWERS:
            raise TooManyFollow(count=self._followers)

    async def follow(self, position: int, wanted: Wanted, beat_s: float) -> AsyncGenerator[Batch]:
        """
        The wanted events after `position`, in batches, each with the number up to which it goes; an empty one after
        `beat_s` without any. Ends when the tail is closed; `Forgotten` where the reader has fallen too far behind.
        """
        self.must_have_room()
        self._loop = asyncio.get_running_loop()
        self._followers += 1
        try:
            await self._begin()
            until = self._loop.time() + beat_s
            while not self._closed:
                found, position = await self._next(position, wanted)
                if found or self._loop.time() >= until:
                    yield found, position
                    until = self._loop.time() + beat_s
                elif position >= self._high:
                    await self._wait(until - self._loop.time())
        finally:
            self._followers -= 1

    def close(self) -> None:
        """Let everybody who follows end, at once. From any thread."""
        self._closed = True
        self._unlisten()
        self._tell(self._end)

    async def _next(self, position: int, wanted: Wanted) -> Batch:
        if position < self._low:
            assert self._loop is not None
            return await self._loop.run_in_executor(self._executor, self._read, position, wanted)
        new: list[Mapping[str, Any]] = []
        for event in reversed(self._kept):
            if event["id"] <= position:
                break
            new.append(event)
        new = new[::-1]
        found = [event for event in new if wanted.covers(event)]
        if len(found) > BATCH:
            return found[:BATCH], found[BATCH - 1]["id"]
        return found, max(position, self._high)

    def _read(self, position: int, wanted: Wanted) -> Batch:
        with self._database.read() as tx:
            events.may_resume(tx, position)
            found = events.since(tx, position, BATCH, wanted)
            return found, found[-1]["id"] if len(found) == BATCH else events.newest(tx)

    async def _begin(self) -> None:
        """Keep the tail, from the newest event on, where nobody has followed before."""
        if self._poller is None or self._poller.done():
            self._poller = asyncio.ensure_future(self._keep())
        while self._high < 0 and not self._closed:
            await self._wait(LOOK_S)

    async def _wait(self, at_most_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), max(at_most_s, 0.0))

    async def _keep(self) -> None:
        """Keep the tail while anybody follows; forget it then."""
        loop = asyncio.get_running_loop()
        while self._followers and not self._closed:
            self._committed.clear()
            try:
                if self._high < 0:
                    self._low = self._high = await loop.run_in_executor(self._executor, self._newest)
                    self._wake()
                while fresh := await loop.run_in_executor(self._executor, self._fresh):
                    self._append(fresh)
            except Exception:
                if not self._closed:
                    log.exception("reading the events failed")
            await asyncio.sleep(REST_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._committed.wait(), LOOK_S)
        self._kept.clear()
        self._low = self._high = -1

    def _append(self, fresh: Sequence[Mapping[str, Any]]) -> None:
        self._kept.extend(fresh)
        self._high = fresh[-1]["id"]
        while len(self._kept) > KEPT:
            self._low = self._kept.popleft()["id"]
        self._wake()

    def _newest(self) -> int:
        with self._database.read() as tx:
            return events.newest(tx)

    def _fresh(self) -> Sequence[Mapping[str, Any]]:
        with self._database.read() as tx:
            return events.since(tx, self._high, BATCH)

    def _wake(self) -> None:
        """Wake all who wait now; who waits from here on waits for the next ones."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _end(self) -> None:
        self._wake()
        self._committed.set()

    def _recorded(self, kind: str) -> None:
        """Called on the thread that has committed."""
        if self._followers:
            self._tell(self._committed.set)

    def _tell(self, what: Any) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody follows any more
                self._loop.call_soon_threadsafe(what)
