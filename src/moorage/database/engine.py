"""
The engine: one URL, two databases (`sqlite`, `postgresql`), and the transactions of all rooms.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from moorage.database.errors import DatabaseFull
from moorage.database.locks import PATIENCE_S
from moorage.database.transaction import Transaction

if TYPE_CHECKING:
    from moorage.database.postgresql import Postgresql
    from moorage.database.sqlite import Sqlite

T = TypeVar("T")
log = logging.getLogger(__name__)

_RETRIES = 5
_SQLITE_FULL, _POSTGRESQL_FULL = (13, None), (None, "53100")  #: how each says that its disk is full
_open: weakref.WeakSet[Database] = weakref.WeakSet()


class Database:
    """A database that several threads, and several processes, work on at once."""

    def __init__(self, url: str, *, threads: int = 8, patience_s: float = PATIENCE_S) -> None:
        """Open it; on SQLite a stopped process may hold the write lock for `patience_s` before it is killed."""
        parsed = make_url(url)
        self.url, self.dialect = url, parsed.get_backend_name()
        self._listeners: dict[str, list[Callable[[Any], None]]] = {}
        self.here: dict[str, Any] = {}  #: what rooms of this process offer to its transactions (`Transaction.here`)
        self._here = threading.local()
        if self.dialect == "sqlite":
            from moorage.database.sqlite import Sqlite

            self._side: Sqlite | Postgresql = Sqlite(parsed, threads, patience_s)
        elif self.dialect == "postgresql":
            from moorage.database.postgresql import Postgresql

            self._side = Postgresql(parsed, threads)
        else:
            raise ValueError(f"{self.dialect} is not supported; use sqlite or postgresql")
        _open.add(self)

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's engine below, for tools and tests. Rooms use transactions."""
        return self._side.engine

    @contextlib.contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that sees one state of the database and changes nothing."""
        with self._side.reading() as (connection, now):
            yield Transaction(connection, now, locks_rows=False, writes=False)

    @contextlib.contextmanager
    def write(self) -> Iterator[Transaction]:
        """
        A transaction whose changes are durable when the block has ended, or all gone if it raises. A thread has one at
        a time: a second one inside the first is a programming error, and raises (it would wait for itself for ever).
        """
        if getattr(self._here, "writing", False):
            raise AssertionError("a write transaction inside another one of the same thread")
        self._here.writing = True
        try:
            with self._side.writing() as (connection, now):
                tx = Transaction(connection, now, locks_rows=self.dialect == "postgresql", writes=True, tell=self._tell)
                tx.here = self.here
                yield tx
                tx.finish()
        except OperationalError as problem:
            if _is_full(problem):
                raise DatabaseFull() from problem
            raise
        finally:
            self._here.writing = False
        tx.announce()

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """
        What `work` returns, in a write transaction; tried again when the database chose it as a deadlock's victim.
        """
        return retried(lambda: self._once(work))

    def _once(self, work: Callable[[Transaction], T]) -> T:
        with self.write() as tx:
            return work(tx)

    @contextlib.contextmanager
    def migrating(self) -> Iterator[Connection]:
        """A transaction of whoever changes the schema, one process at a time. For `migrate` only."""
        with self._side.migrating() as connection:
            yield connection

    def listen(self, topic: str, listener: Callable[[Any], None]) -> Callable[[], None]:
        """
        Call `listener`, on the committing thread, with what transactions of this process say under `topic`, until the
        function that this returns is called. Listeners do next to nothing: the thread is somebody else's.
        """
        listeners = self._listeners.setdefault(topic, [])
        listeners.append(listener)
        return lambda: listeners.remove(listener) if listener in listeners else None

    def _tell(self, topic: str, what: Any) -> None:
        for listener in tuple(self._listeners.get(topic, ())):
            try:
                listener(what)
            except Exception:
                log.exception("a listener of %s failed", topic)

    def close(self) -> None:
        """Let go of all connections. Twice is once, and a process that is forked later has nothing of it."""
        if self in _open:
            _open.discard(self)
            self._side.close()

    def _after_fork(self) -> None:
        self._here = threading.local()
        self._side.after_fork()


def retried(attempt: Callable[[], T]) -> T:
    """What `attempt` returns, tried again a few times when PostgreSQL asks for that (deadlock, serialization)."""
    for n in range(_RETRIES):
        try:
            return attempt()
        except DBAPIError as problem:
            if n == _RETRIES - 1 or getattr(problem.orig, "sqlstate", None) not in ("40001", "40P01"):
                raise
            time.sleep(0.01 * 2**n)
    raise AssertionError("unreachable")


def _is_full(problem: OperationalError) -> bool:
    """Whether either database says that its disk is full."""
    said = (getattr(problem.orig, "sqlite_errorcode", None), getattr(problem.orig, "sqlstate", None))
    return said in (_SQLITE_FULL, _POSTGRESQL_FULL)


def _after_fork_in_child() -> None:
    for database in list(_open):
        database._after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)

__all__ = ["Database", "Engine", "retried"]
