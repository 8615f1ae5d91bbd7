"""Threads for operations: at most so many, started when needed, and none that keeps the process from ending."""

import queue
import threading
from collections.abc import Callable


class Threads:
    """Runs what it is given, each piece on a thread of its own, up to `limit` at once; whoever gives counts."""

    def __init__(self, limit: int, name: str) -> None:
        self._limit, self._name = limit, name
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._guard, self._idle, self._started = threading.Lock(), 0, 0

    def run(self, work: Callable[[], None]) -> None:
        """Have `work`, which handles its own exceptions, done soon."""
        with self._guard:
            if self._idle:
                self._idle -= 1
            elif self._started < self._limit:
                self._started += 1
                threading.Thread(target=self._loop, name=f"{self._name}-{self._started}", daemon=True).start()
        self._work.put(work)

    def stop(self) -> None:
        """Let the threads end once they have done what they are at."""
        for _ in range(self._started):
            self._work.put(None)

    def _loop(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            with self._guard:
                self._idle += 1
