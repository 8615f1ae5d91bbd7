"""A store of files with hands on its verbs: it fails, or stands still, where a test says so."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moorage.drivers.stores.files import FilesStore
from moorage.images.store import StoreFull, StoreUnavailable, Traits, Writer

PATIENCE_S = 60.0


class Moody(FilesStore):
    """Files below a folder of its own."""

    def __init__(self, id: str, root: Path, *, read_only: bool = False) -> None:
        super().__init__(id, root / id)
        self.traits = Traits(local_files=True, read_only=read_only)
        self.failing: set[str] = set()  #: verbs: create, write, commit, open, delete
        self._held: dict[str, tuple[threading.Event, threading.Event]] = {}

    @contextmanager
    def standing(self, verb: str) -> Iterator[threading.Event]:
        """Within the block `verb` stands still; the event says that somebody has come to it."""
        come, go = self._held[verb] = threading.Event(), threading.Event()
        try:
            yield come
        finally:
            del self._held[verb]
            go.set()

    def meet(self, verb: str) -> None:
        """Stand still, or fail, where that is wanted."""
        held = self._held.get(verb)
        if held is not None:
            held[0].set()
            assert held[1].wait(PATIENCE_S)
        if verb in self.failing:
            raise StoreFull(store=self.id) if verb == "write" else StoreUnavailable(store=self.id, why="it was told to")

    def create(self, name: str, size: int | None) -> Writer:
        self.meet("create")
        return MoodyWriter(self, super().create(name, size))

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.meet("open")
        return super().open(name, offset, length)

    def delete(self, name: str) -> None:
        self.meet("delete")
        super().delete(name)


class MoodyWriter(Writer):
    """An object of such a store."""

    def __init__(self, store: Moody, writer: Writer) -> None:
        self._store, self._writer = store, writer

    def write(self, chunk: bytes) -> None:
        self._store.meet("write")
        self._writer.write(chunk)

    def commit(self) -> None:
        self._store.meet("commit")
        self._writer.commit()

    def abort(self) -> None:
        self._writer.abort()
