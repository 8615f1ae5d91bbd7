"""Waiting for ends: without a thread for each, whoever ends them."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from moorage.database import Database
from moorage.operations import claims, journal
from moorage.operations.records import State
from moorage.operations.waiting import Ends
from tests.operations.test_runner import begin


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def end(database: Database, id: str) -> None:
    with database.write() as tx:
        claims.claim(tx, "me", ["any"], 60.0, 1000)
    with database.write() as tx:
        journal.end(tx, id, 1, State.DONE)


def test_an_end_of_this_process_wakes_its_waiters(database: Database, executor: ThreadPoolExecutor) -> None:
    async def main() -> None:
        ends, id = Ends(database, executor), begin(database, "f")
        waiters = [asyncio.ensure_future(ends.of(id, 30)) for _ in range(20)]
        await asyncio.sleep(0.02)
        await asyncio.to_thread(end, database, id)
        rows = await asyncio.gather(*waiters)
        assert {row and row["state"] for row in rows} == {State.DONE} and not ends._waiting

    asyncio.run(main())


def test_an_end_of_another_process_is_found(database: Database, executor: ThreadPoolExecutor) -> None:
    other = Database(database.url)  # its listeners are its own, as another process's are

    async def main() -> None:
        ends, ids = Ends(database, executor), [begin(database, "f", f"r{n}") for n in range(30)]
        waiters = [asyncio.ensure_future(ends.of(id, 30)) for id in ids]
        await asyncio.sleep(0.3)
        threads = threading.active_count()
        for id in ids:
            await asyncio.to_thread(end, other, id)
        rows = await asyncio.gather(*waiters)
        assert all(row is not None for row in rows) and threads < 20

    asyncio.run(main())
    other.close()


def test_it_may_be_over_before_anybody_waits(database: Database, executor: ThreadPoolExecutor) -> None:
    async def main() -> None:
        before, id = begin(database, "f", "r1"), begin(database, "f", "r2")
        end(database, before)
        ends = Ends(database, executor)
        end(database, id)
        assert await ends.of(before, 30) is not None and await ends.of(id, 30) is not None

    asyncio.run(main())


def test_time_passes(database: Database, executor: ThreadPoolExecutor) -> None:
    async def main() -> None:
        ends, id = Ends(database, executor), begin(database, "f")
        assert await ends.of(id, 0.05) is None and await ends.of("never-begun", 0) is None
        waiter = asyncio.ensure_future(ends.of(id, 30))
        await asyncio.sleep(0.01)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        assert not ends._waiting

    asyncio.run(main())
