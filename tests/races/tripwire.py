"""A backend that fails, or stands still, where a test says so: the moment between two steps, as long as wanted."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from moorage.core.errors import Problem
from moorage.drivers.backends.memory import MemoryBackend
from moorage.volumes.backend import Cache, Connection, Export, Layer

PATIENCE_S = 30.0


class Broken(Problem):
    """The backend is out of order."""

    status, code = 500, "test.broken"


class Tripwire(MemoryBackend):
    """The backend in memory, with hands on its verbs."""

    def __init__(self) -> None:
        super().__init__()
        self._failing: dict[str, int] = {}
        self._held: dict[str, tuple[threading.Event, threading.Event]] = {}
        self.calls: list[str] = []

    def fail(self, verb: str, times: int = 1) -> None:
        """Let the next `times` calls of `verb` fail."""
        self._failing[verb] = times

    @contextmanager
    def standing(self, verb: str) -> Iterator[threading.Event]:
        """Within the block `verb` stands still; the event says that somebody has come to it."""
        come, go = self._held[verb] = threading.Event(), threading.Event()
        try:
            yield come
        finally:
            del self._held[verb]
            go.set()

    def _pass(self, verb: str) -> None:
        self.calls.append(verb)
        held = self._held.get(verb)
        if held is not None:
            held[0].set()
            assert held[1].wait(PATIENCE_S)
        if self._failing.get(verb, 0):
            self._failing[verb] -= 1
            raise Broken()

    def publish(self, export: Export, head: Layer, cache: Cache) -> Connection:
        self._pass("publish")
        return super().publish(export, head, cache)

    def withdraw(self, volume: str, attachment: str, *, careful: bool = False) -> None:
        self._pass("withdraw")
        super().withdraw(volume, attachment, careful=careful)

    def extend(self, layer: Layer, size: int) -> None:
        self._pass("extend")
        super().extend(layer, size)

    def delete(self, name: str) -> None:
        self._pass("delete")
        super().delete(name)

    def exports(self, volume: str) -> frozenset[str]:
        """The attachments that have an export."""
        served = self.survey().get(volume)
        return served.exports if served is not None else frozenset()
