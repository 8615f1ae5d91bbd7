"""
SQLite: WAL, synchronous=FULL (a control plane that has answered 202 must not forget it), `BEGIN IMMEDIATE`, writers one
after the other in the order in which they came, across threads and processes.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError

from moorage.database.errors import DatabaseUnavailable
from moorage.database.locks import PATIENCE_S, FileLock, Queue
from moorage.database.schema import read_document

# The timeout comes first: turning WAL on takes a lock that another process may hold at that moment.
_PRAGMAS = ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-8000")


class Sqlite:
    """How SQLite is opened, begun and shared."""

    def __init__(self, url: URL, threads: int, patience_s: float = PATIENCE_S) -> None:
        if not url.database or url.database == ":memory:":
            raise ValueError("SQLite needs a file: several threads and processes share it")
        path = Path(url.database)
        self.engine = create_engine(
            url,
            pool_size=threads,
            max_overflow=threads,
            connect_args={"check_same_thread": False, "cached_statements": 512},
            json_deserializer=read_document,
            hide_parameters=True,
        )
        event.listen(self.engine, "connect", _prepare)
        self._queue, self._file = Queue(), FileLock(path.with_name(path.name + ".lock"), patience_s)
        self._idle: list[Connection] = []
        self._closed = False

    @contextlib.contextmanager
    def reading(self) -> Iterator[tuple[Connection, int]]:
        """A connection in a transaction, and the time."""
        with self._connected() as connection:
            say(connection, "BEGIN")
            try:
                yield connection, now()
            finally:
                say(connection, "ROLLBACK")

    @contextlib.contextmanager
    def writing(self) -> Iterator[tuple[Connection, int]]:
        """The same, with the right to write."""
        with self._queue, self._connected() as connection, self._file.held():
            try:
                say(connection, "BEGIN IMMEDIATE")
            except OperationalError as problem:
                raise DatabaseUnavailable() from problem
            with ended(partial(say, connection)):
                yield connection, now()

    @contextlib.contextmanager
    def migrating(self) -> Iterator[Connection]:
        """
        The right to change the schema. Foreign keys are checked at the end: SQLite changes a table by making it anew,
        and dropping the old one would take the rows that refer to it along.
        """
        with self._queue, self._connected() as connection, self._file.held():
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                with ended(partial(say, connection)):
                    yield connection
                    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
                    if broken:
                        raise AssertionError(f"the migration leaves rows that refer to nothing: {broken[:3]}")
            finally:
                connection.exec_driver_sql("PRAGMA foreign_keys=ON")

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        """
        A connection for the length of the block. It is kept for the next one, unless the block has failed: then the
        pool has it, which puts it right or throws it away.
        """
        try:
            connection = self._idle.pop() if self._idle else self.engine.connect()
        except IndexError:  # another thread was faster
            connection = self.engine.connect()
        except OperationalError as problem:
            raise DatabaseUnavailable() from problem
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if self._closed or connection.invalidated:
            connection.close()
        else:
            self._idle.append(connection)

    def after_fork(self) -> None:
        """Have connections and locks of this process's own; those of the parent stay the parent's."""
        self._parents, self._idle = self._idle, []
        self.engine.dispose(close=False)
        self._queue = Queue()
        self._file.reopen()

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().close()
        self.engine.dispose()
        self._file.close()


def say(connection: Connection, what: str) -> None:
    """Say to the driver what begins or ends a transaction; it fails as if it had been said through SQLAlchemy."""
    raw = cast(sqlite3.Connection, connection.connection.dbapi_connection)
    try:
        raw.execute(what)
    except sqlite3.Error as problem:
        raise DBAPIError.instance(what, None, problem, sqlite3.Error, dialect=connection.dialect) from problem


@contextlib.contextmanager
def ended(said: Callable[[str], object]) -> Iterator[None]:
    """Commit at the end of the block; roll back if it raises."""
    try:
        yield
        said("COMMIT")
    except BaseException:
        with contextlib.suppress(Exception):
            said("ROLLBACK")
        raise


def _prepare(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def now() -> int:
    """SQLite has no clock of its own: its host's is the database's."""
    return time.time_ns() // 1000
