"""An event loop on a thread of its own, for tests that are plain functions."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any


class EventLoop:
    """Runs from now on until `close`, which leaves no tasks, and no threads but those that are stuck."""

    def __init__(self) -> None:
        self._loop, self._workers = asyncio.new_event_loop(), ThreadPoolExecutor()
        self._loop.set_default_executor(self._workers)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Any], timeout_s: float) -> Any:
        """What the coroutine gives; raises what it raises."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout_s)

    def close(self) -> None:
        self.run(_end_all(), 10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._loop.close()


async def _end_all() -> None:
    """End what still waits on this loop for an app that has stopped."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
