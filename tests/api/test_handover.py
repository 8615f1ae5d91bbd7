"""Work that is handed to a thread: what comes back, and who may take it back."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from moorage.api.handover import on


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


def test_what_work_returns_and_raises_comes_back(threads: ThreadPoolExecutor) -> None:
    assert asyncio.run(_on(threads, int, "7")) == 7
    with pytest.raises(ValueError, match="seven"):
        asyncio.run(_on(threads, int, "seven"))


def test_who_stops_waiting_takes_back_what_has_not_begun(threads: ThreadPoolExecutor) -> None:
    go, begun = threading.Event(), list[str]()

    async def both() -> None:
        first = asyncio.ensure_future(on(threads, lambda: (begun.append("first"), go.wait(30))))
        second = asyncio.ensure_future(on(threads, begun.append, "second"))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        go.set()
        await first
        await on(threads, begun.append, "third")

    asyncio.run(both())
    assert begun == ["first", "third"]


def test_who_waits_for_threads_that_end_is_told(threads: ThreadPoolExecutor) -> None:
    go = threading.Event()

    async def both() -> None:
        first = asyncio.ensure_future(on(threads, go.wait, 30))
        second = asyncio.ensure_future(on(threads, int))
        await asyncio.sleep(0)
        threads.shutdown(wait=False, cancel_futures=True)
        with pytest.raises(asyncio.CancelledError):
            await second
        go.set()
        assert await first is True

    asyncio.run(both())


def test_work_that_ends_after_the_loop_disturbs_nobody(
    threads: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    go = threading.Event()

    async def leave() -> None:
        waiting = asyncio.ensure_future(on(threads, go.wait, 30))
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(leave())
    go.set()
    threads.shutdown()
    assert not caplog.records


async def _on(threads: ThreadPoolExecutor, work: type, given: str) -> object:
    return await on(threads, work, given)
