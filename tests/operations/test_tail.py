"""Whoever follows the events is given each of them once, in order, whoever commits them and however slow he is."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

import pytest

from moorage.database import Database
from moorage.operations import events, tail
from moorage.operations.events import ALL, Forgotten, Wanted
from moorage.operations.tail import Batch, Tail, TooManyFollow

WRITERS, EACH = 4, 60


@pytest.fixture
def files() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def write(database: Database, writer: int, count: int = EACH) -> None:
    for n in range(count):
        with database.write() as tx:
            events.record(tx, "thing.changed", "thing", f"{writer}-{n}", f"p{writer % 2}")


async def ids(batches: AsyncGenerator[Batch], count: int, pause_s: float = 0.0) -> list[int]:
    found: list[int] = []
    async with aclosing(batches):
        async for some, _ in batches:
            found += [event["id"] for event in some]
            await asyncio.sleep(pause_s)
            if len(found) >= count:
                break
    return found


def everything(database: Database, wanted: Wanted = ALL) -> list[int]:
    with database.read() as tx:
        return [event["id"] for event in events.since(tx, 0, wanted=wanted)]


def test_each_follower_sees_each_event_once_in_order(
    database: Database, files: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fast and slow ones, from the start and from the middle; writers of this process and of others."""
    monkeypatch.setattr(tail, "KEPT", 16)  # slow ones fall out of what is kept, and come back
    monkeypatch.setattr(tail, "BATCH", 5)
    other = Database(database.url)  # its commits are not told to this process's listeners, as another process's are not
    write(database, 9, 20)
    total = 20 + WRITERS * EACH
    mine = Wanted(project_id="p1")

    async def follow() -> list[list[int]]:
        followed = Tail(database, files)
        wanted = (
            ids(followed.follow(0, ALL, 30), total),
            ids(followed.follow(0, ALL, 30), total, pause_s=0.01),
            ids(followed.follow(20, ALL, 30), total - 20),
            ids(followed.follow(0, mine, 30), 20 + WRITERS // 2 * EACH),
        )
        tasks = [asyncio.ensure_future(one) for one in wanted]
        await asyncio.sleep(0.05)
        writers = [
            threading.Thread(target=write, args=(database if n % 2 else other, n % 2 + 2 * (n // 2)))
            for n in range(WRITERS)
        ]
        for writer in writers:
            writer.start()
        found = await asyncio.wait_for(asyncio.gather(*tasks), 60)
        for writer in writers:
            writer.join()
        return found

    fast, slow, middle, one_project = asyncio.run(follow())
    other.close()
    all_of_them = everything(database)
    assert len(all_of_them) == total
    assert fast == slow == all_of_them
    assert middle == [id for id in all_of_them if id > 20]
    assert one_project == everything(database, mine)


def test_a_follower_hears_that_nothing_happens_and_up_to_where(database: Database, files: ThreadPoolExecutor) -> None:
    write(database, 0, 3)

    async def follow() -> Batch:
        async with aclosing(Tail(database, files).follow(3, Wanted(project_id="nobody's"), 0.05)) as batches:
            return await anext(batches)

    assert asyncio.run(follow()) == ([], 3)


def test_closing_ends_all_who_follow(database: Database, files: ThreadPoolExecutor) -> None:
    async def follow() -> list[list[int]]:
        followed = Tail(database, files)
        tasks = [asyncio.ensure_future(ids(followed.follow(0, ALL, 60), 1)) for _ in range(3)]
        await asyncio.sleep(0.1)
        threading.Thread(target=followed.close).start()
        return await asyncio.wait_for(asyncio.gather(*tasks), 30)

    assert asyncio.run(follow()) == [[], [], []]


def test_who_falls_behind_what_is_kept_at_all_is_told(database: Database, files: ThreadPoolExecutor) -> None:
    write(database, 0, 5)

    async def follow() -> None:
        with database.write() as tx:
            assert events.forget(tx, tx.now + 1, 3) == 3
        assert await ids(Tail(database, files).follow(3, ALL, 30), 2) == [4, 5]
        await ids(Tail(database, files).follow(2, ALL, 30), 1)

    with pytest.raises(Forgotten):
        asyncio.run(follow())


def test_no_more_than_so_many_may_follow(
    database: Database, files: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "FOLLOWERS", 1)
    write(database, 0, 1)

    async def follow() -> list[int]:
        followed = Tail(database, files)
        one = followed.follow(0, ALL, 30)
        await anext(one)
        with pytest.raises(TooManyFollow):
            await ids(followed.follow(0, ALL, 30), 1)
        await one.aclose()
        return await ids(followed.follow(0, ALL, 30), 1)

    assert asyncio.run(follow()) == [1]


def test_the_database_is_left_alone_when_nobody_follows(database: Database, files: ThreadPoolExecutor) -> None:
    write(database, 0, 1)

    async def follow() -> bool:
        followed = Tail(database, files)
        await ids(followed.follow(0, ALL, 30), 1)
        poller = followed._poller
        assert poller is not None
        await asyncio.wait_for(poller, 30)
        return await ids(followed.follow(0, ALL, 30), 1) == [1]  # and it begins again

    assert asyncio.run(follow())
