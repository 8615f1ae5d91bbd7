"""
Work done in order on threads that many share: the chunks of one lane follow each other, lanes go side by side.

A lane holds few chunks at a time; who brings more waits, so that memory stays flat and a slow lane slows its source.
"""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Condition

_DEPTH = 2  #: chunks that wait or are worked on in one lane


@cache
def _threads() -> ThreadPoolExecutor:
    """The threads of all lanes. A lane takes one for one chunk only, and never waits on it, so that none starves."""
    return ThreadPoolExecutor(max(2, os.cpu_count() or 2), thread_name_prefix="lane")


class Lane:
    """Chunks given to `work`, one by one, in the order of `put`."""

    def __init__(self, work: Callable[[bytes], None]) -> None:
        self._work = work
        self._chunks: deque[bytes] = deque()
        self._changed = Condition()
        self._failure: BaseException | None = None

    def put(self, chunk: bytes) -> None:
        """Have `chunk` worked on next; waits while the lane is full. The chunk must not change any more."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._chunks) < _DEPTH)
            self._chunks.append(chunk)
            if len(self._chunks) == 1:
                _threads().submit(self._step)

    def drain(self) -> None:
        """Return when everything that was put has been worked on, or raise what went wrong with any of it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._chunks)
        if self._failure:
            raise self._failure

    def _step(self) -> None:
        """Work on the first chunk, which stays in its place meanwhile so that no other thread takes the second."""
        try:
            self._work(self._chunks[0])
        except BaseException as failure:
            self._failure = failure
        with self._changed:
            self._chunks.popleft()
            self._changed.notify_all()
            if self._chunks:
                _threads().submit(self._step)
