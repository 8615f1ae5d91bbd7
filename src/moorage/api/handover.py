"""
Work that is handed to a thread and awaited: what `run_in_executor` does, with half as much between the two.

Each request changes threads two or three times, which costs as much as what it asks the database.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

T = TypeVar("T")


async def on(threads: Executor, work: Callable[..., T], *given: Any) -> T:
    """What `work` returns on one of `threads`. Who stops waiting takes it back, unless it has begun."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[T] = loop.create_future()

    def over(done: "Future[T]") -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(_tell, told, done)

    working = threads.submit(work, *given)
    working.add_done_callback(over)
    try:
        return await told
    except asyncio.CancelledError:
        working.cancel()
        raise


def _tell(told: "asyncio.Future[T]", done: "Future[T]") -> None:
    if told.done():
        return
    if done.cancelled():
        told.cancel()
    elif (problem := done.exception()) is not None:
        told.set_exception(problem)
    else:
        told.set_result(done.result())
