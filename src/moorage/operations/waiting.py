"""
Waiting for the end of operations, without a thread for each.

An operation that this process ends is known of at once (`journal.ENDED`). One that another process ends is found by
looking: one query for all that are waited for, 20 ms after the youngest wait began and then less and less often, down
to four times a second; for those that this process carries out, four times a second from the start, since somebody else
may take them over.
"""

import asyncio
import contextlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from typing import Any

from sqlalchemy import select

from moorage.database import Database
from moorage.database.among import among, either, several
from moorage.database.fixed import Fixed
from moorage.operations import journal
from moorage.operations.records import OVER, operations

log = logging.getLogger(__name__)

End = asyncio.Future[Mapping[str, Any] | None]  #: of one wait: the row, or None to be looked for

FIRST_LOOK_S, LONGEST_LOOK_S = 0.02, 0.25
_OVER_OF = Fixed(
    select(operations.c.id).where(among(operations.c.id, several("the_ids")), either(operations.c.state, OVER))
)
REMEMBERED = 256  #: ends of this process that one may still ask for without looking


class Ends:
    """The ends of operations, for coroutines of one event loop. Looks into the database on `executor` only."""

    def __init__(
        self, database: Database, executor: Executor, carried: Callable[[str], bool] = lambda id: False
    ) -> None:
        """`carried`: whether this process carries an operation out, so that it will hear of its end."""
        self._database, self._executor, self._carried = database, executor, carried
        self._guard = threading.Lock()
        self._recent: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self._waiting: dict[str, list[End]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._poller: asyncio.Task[None] | None = None
        self._pause_s, self._next_look = FIRST_LOOK_S, 0.0
        self._fresh = asyncio.Event()
        self._closed = False
        database.listen(journal.ENDED, self._ended)

    async def of(self, operation_id: str, timeout_s: float) -> Mapping[str, Any] | None:
        """The row of the operation once it is over; None when it is not over within `timeout_s`, or is not known."""
        self._loop = asyncio.get_running_loop()
        future: End = self._loop.create_future()
        with self._guard:
            row = self._recent.get(operation_id)
            if row is not None:
                return row
            self._waiting.setdefault(operation_id, []).append(future)
        try:
            if self._closed:
                timeout_s = 0.0
            self._look_soon(LONGEST_LOOK_S if self._carried(operation_id) else FIRST_LOOK_S)
            await asyncio.wait([future], timeout=max(timeout_s, 0.0))
        finally:
            self._leave(operation_id, future)
        row = future.result() if future.done() else None
        if row is None:
            row = await self._loop.run_in_executor(self._executor, self._row, operation_id)
        return row if row is not None and row["state"] in OVER else None

    def close(self) -> None:
        """Let nobody wait any longer, on the loop's thread: this process is about to end before the operations are."""
        self._closed = True
        with self._guard:
            futures = [future for waiting in self._waiting.values() for future in waiting]
        _wake(futures, None)

    def _leave(self, id: str, future: End) -> None:
        with self._guard:
            others = self._waiting.get(id, [])
            if future in others:
                others.remove(future)
            if not others:
                self._waiting.pop(id, None)

    def _row(self, id: str) -> Mapping[str, Any] | None:
        with self._database.read() as tx:
            return journal.get(tx, id)

    def _ended(self, row: Mapping[str, Any]) -> None:
        """Called on the thread that has committed the end."""
        id = row["id"]
        with self._guard:
            self._recent[id] = row
            if len(self._recent) > REMEMBERED:
                self._recent.popitem(last=False)
            futures, loop = list(self._waiting.get(id, ())), self._loop
        if futures and loop is not None:
            try:
                loop.call_soon_threadsafe(_wake, futures, row)
            except RuntimeError:  # the loop is closed: nobody waits any more
                pass

    def _look_soon(self, pause_s: float) -> None:
        soon = asyncio.get_running_loop().time() + pause_s
        self._pause_s = pause_s
        if self._poller is None or self._poller.done():
            self._next_look = soon
            self._poller = asyncio.ensure_future(self._poll())
        else:
            self._next_look = min(self._next_look, soon)
            self._fresh.set()

    async def _poll(self) -> None:
        """Look, while anybody waits."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            if (pause := self._next_look - loop.time()) > 0:
                self._fresh.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._fresh.wait(), pause)
                continue
            self._pause_s = min(self._pause_s * 2, LONGEST_LOOK_S)
            self._next_look = loop.time() + self._pause_s
            with self._guard:
                ids = list(self._waiting)
            if ids:
                try:
                    over = await loop.run_in_executor(self._executor, self._over, ids)
                except Exception:
                    log.exception("looking for the ends of operations failed")
                    continue
                for id in over:
                    with self._guard:
                        futures = list(self._waiting.get(id, ()))
                    _wake(futures)

    def _over(self, ids: Collection[str]) -> list[str]:
        with self._database.read() as tx:
            return [row["id"] for row in tx.all(_OVER_OF, {"the_ids": list(ids)})]


def _wake(futures: Collection[End], row: Mapping[str, Any] | None = None) -> None:
    for future in futures:
        if not future.done():
            future.set_result(row)
