"""
A store that is down disables itself: this wrapper around every store notices, remembers why, and looks when it is back.

One call that found no answer proves little, since it may be one object's fault; the store is asked by `probe`, off
the caller's thread, and is down only when that fails too.  From then on every call is refused at once, so that nobody
waits for what is known, until a later probe succeeds.  Both turns are told of, in their order.
"""

import io
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from moorage.core.errors import Problem
from moorage.images.store import ObjectUnavailable, Store, StoreUnavailable, Trouble, Writer

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Told of a store and its trouble: that it has begun, or, with `away_s`, that it is over after so many seconds.
Tell = Callable[[str, Trouble, float | None], None]

PAUSES_S: Sequence[float] = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)  #: between probes of a store that is down; the last stays


class Watched(Store):
    """`inner`, whose trouble is known to all who ask; `tell` is told when it begins and when it is over."""

    def __init__(self, inner: Store, pauses_s: Sequence[float] = PAUSES_S, tell: Tell | None = None) -> None:
        super().__init__(inner.id)
        self.inner, self.kind, self.traits = inner, inner.kind, inner.traits
        self._pauses_s, self._tell = pauses_s, tell
        self._guard, self._telling = threading.Lock(), threading.Lock()
        self._trouble: Trouble | None = None
        self._looking = False  #: a thread looks after it
        self._closed = threading.Event()

    def create(self, name: str, size: int | None) -> Writer:
        return _Writer(self, self._ask(lambda: self.inner.create(name, size)))

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        return _Chunks(self, self._ask(lambda: self.inner.open(name, offset, length)))

    def delete(self, name: str) -> None:
        self._ask(lambda: self.inner.delete(name))

    def size(self, name: str) -> int:
        return self._ask(lambda: self.inner.size(name))

    def names(self) -> frozenset[str]:
        return self._ask(self.inner.names)

    def free(self) -> int | None:
        return self._ask(self.inner.free)

    def probe(self) -> None:
        self._ask(self.inner.probe)

    def take(self, name: str, volume: str) -> int:
        return self._ask(lambda: self.inner.take(name, volume))

    def show(self, name: str, below: str, format: str, size: int) -> str:
        return self._ask(lambda: self.inner.show(name, below, format, size))

    def lies_on_layers(self, name: str) -> bool:
        return self.inner.lies_on_layers(name)

    def path(self, name: str) -> Path | None:
        return self.inner.path(name)

    def file(self, name: str) -> tuple[io.FileIO, int] | None:
        return self._ask(lambda: self.inner.file(name)) if self.traits.local_files else None

    def url(self, name: str) -> str:
        return self.inner.url(name)

    def adopt(self, url: str) -> str:
        return self.inner.adopt(url)

    def properties(self) -> Mapping[str, Any]:
        return self.inner.properties()

    def trouble(self) -> Trouble | None:
        return self._trouble

    def close(self) -> None:
        self._closed.set()
        self.inner.close()

    def look(self) -> None:
        """Find out, off this thread, whether the store can be used: at the start, before anybody needs it."""
        self._doubt("it has not been asked yet")

    def _ask(self, verb: Callable[[], T]) -> T:
        trouble = self._trouble
        if trouble is not None:
            raise StoreUnavailable(store=self.id, why=str(trouble))
        with self.noticing():
            return verb()

    @contextmanager
    def noticing(self) -> Iterator[None]:
        """What finds no answer inside is a reason to look."""
        try:
            yield
        except ObjectUnavailable:
            raise
        except StoreUnavailable as problem:
            self._doubt(problem.facts.get("why", "it does not answer"))
            raise

    def _doubt(self, why: str) -> None:
        with self._guard:
            if self._looking or self._closed.is_set():
                return
            self._looking = True
        threading.Thread(target=self._look_after, args=(why,), name=f"store-{self.id}", daemon=True).start()

    def _look_after(self, why: str) -> None:
        """Probe until it can be used; down from the first probe on that fails."""
        pauses = iter(self._pauses_s)
        pause = self._pauses_s[0]
        while (found := self._probed()) is not None:
            if self._trouble is None:
                self._trouble = Trouble(found or why, time.time())
                log.warning("the store %s is disabled: %s", self.id, self._trouble.why)
                with self._telling:
                    self._told(self._trouble, None)
            pause = next(pauses, pause)
            if self._closed.wait(pause):
                break
        with self._telling:  # who looks next may find it down before this is told
            with self._guard:
                trouble, self._trouble, self._looking = self._trouble, None, False
            if trouble is not None and not self._closed.is_set():
                away_s = time.time() - trouble.since
                log.warning("the store %s is back; it was away for %.0f s", self.id, away_s)
                self._told(trouble, away_s)

    def _told(self, trouble: Trouble, away_s: float | None) -> None:
        """Tell of it; whoever cannot listen now keeps nobody from looking after the store."""
        if self._tell is not None:
            try:
                self._tell(self.id, trouble, away_s)
            except Exception:
                if not self._closed.is_set():
                    log.exception("that the store %s was lost or found could not be told", self.id)

    def _probed(self) -> str | None:
        """Why it cannot be used; None where it can."""
        try:
            self.inner.probe()
        except Problem as problem:
            return str(problem.facts.get("why", problem.sentence))
        except Exception:
            log.exception("the store %s cannot be probed", self.id)
            return "its probe failed, which the log tells more of"
        return None


class _Writer(Writer):
    """A writer of a watched store. Clearing away is tried even where the store is known to be down."""

    def __init__(self, store: Watched, inner: Writer) -> None:
        self._store, self._inner = store, inner

    def write(self, chunk: bytes) -> None:
        with self._store.noticing():
            self._inner.write(chunk)

    def commit(self) -> None:
        with self._store.noticing():
            self._inner.commit()

    def abort(self) -> None:
        with self._store.noticing():
            self._inner.abort()


class _Chunks(Iterator[bytes]):
    """The chunks of a watched store."""

    def __init__(self, store: Watched, inner: Iterator[bytes]) -> None:
        self._store, self._inner = store, inner

    def __next__(self) -> bytes:
        with self._store.noticing():
            return next(self._inner)
