"""Turns: the verbs of one volume come one after the other, those of different volumes side by side."""

import threading
from weakref import WeakValueDictionary


class Turn:
    """Whose verb of one volume it is; `survey` waits for none of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def begin(self) -> bool:
        """Whether nobody else is at it; then `end` must follow."""
        return self._lock.acquire(blocking=False)

    def end(self) -> None:
        """Let the next one have it."""
        self._lock.release()

    def taken(self) -> bool:
        """Whether a verb is under way."""
        return self._lock.locked()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.end()


class Turns:
    """The turns of all volumes; each is there as long as somebody has it or waits for it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._turns: WeakValueDictionary[str, Turn] = WeakValueDictionary()

    def of(self, volume: str) -> Turn:
        """That of `volume`."""
        with self._guard:
            return self._turns.setdefault(volume, Turn())
