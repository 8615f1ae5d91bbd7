"""
The engine: one URL, two databases.

SQLite: WAL, synchronous=FULL (a control plane that has answered 202 must not forget it), `BEGIN IMMEDIATE`, writers one
after the other in the order in which they came, across threads and processes.  PostgreSQL: the same statements, row
locks instead (`Transaction.lock`), and a transaction whose process hangs is ended by the server after 10 s.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError

from moorage.database.locks import FileLock, Queue
from moorage.database.transaction import Transaction

T = TypeVar("T")

_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000", "cache_size=-8000")
_RETRIES = 5


class Database:
    """A database that several threads, and several processes, work on at once."""

    def __init__(self, url: str, *, threads: int = 8) -> None:
        parsed = make_url(url)
        self.url = url
        self.dialect = parsed.get_backend_name()
        self._listeners: dict[str, list[Callable[[str], None]]] = {}
        if self.dialect == "sqlite":
            if not parsed.database or parsed.database == ":memory:":
                raise ValueError("SQLite needs a file: several threads and processes share it")
            path = Path(parsed.database)
            self.engine = create_engine(parsed, pool_size=threads, max_overflow=threads, connect_args={"check_same_thread": False})
            event.listen(self.engine, "connect", _prepare_sqlite)
            self._queue, self._file = Queue(), FileLock(path.with_name(path.name + ".lock"))
        elif self.dialect == "postgresql":
            options = "-c idle_in_transaction_session_timeout=10000 -c statement_timeout=60000 -c timezone=UTC"
            self.engine = create_engine(
                parsed.set(drivername="postgresql+psycopg"),
                pool_size=threads, max_overflow=threads, pool_pre_ping=True, connect_args={"options": options},
            )
        else:
            raise ValueError(f"{self.dialect} is not supported; use sqlite or postgresql")

    @contextlib.contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that sees one state of the database and changes nothing."""
        if self.dialect == "sqlite":
            with self.engine.connect() as connection:
                connection.exec_driver_sql("BEGIN")
                try:
                    yield Transaction(connection, _host_clock, locks_rows=False, writes=False)
                finally:
                    connection.exec_driver_sql("ROLLBACK")
        else:
            with self.engine.connect() as connection:
                connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                yield Transaction(connection, _server_clock, locks_rows=False, writes=False)

    @contextlib.contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction whose changes are durable when the block has ended, or all gone if it raises."""
        if self.dialect == "sqlite":
            with self._queue, self._file.held(), self.engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                tx = Transaction(connection, _host_clock, locks_rows=False, writes=True, tell=self._tell)
                try:
                    yield tx
                    tx.finish()
                    connection.exec_driver_sql("COMMIT")
                except BaseException:
                    with contextlib.suppress(Exception):
                        connection.exec_driver_sql("ROLLBACK")
                    raise
        else:
            with self.engine.begin() as connection:
                tx = Transaction(connection, _server_clock, locks_rows=True, writes=True, tell=self._tell)
                yield tx
                tx.finish()
        tx.announce()

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """What `work` returns, in a write transaction; tried again when the database chose it as a deadlock's victim."""
        return retried(lambda: self._once(work))

    def _once(self, work: Callable[[Transaction], T]) -> T:
        with self.write() as tx:
            return work(tx)

    def listen(self, topic: str, listener: Callable[[str], None]) -> None:
        """Call `listener`, on the committing thread, with what transactions of this process say under `topic`."""
        self._listeners.setdefault(topic, []).append(listener)

    def _tell(self, topic: str, what: str) -> None:
        for listener in self._listeners.get(topic, ()):
            listener(what)

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


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


def _prepare_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _host_clock(connection: Connection) -> int:
    """SQLite has no clock of its own: its host's is the database's."""
    return time.time_ns() // 1000


def _server_clock(connection: Connection) -> int:
    return int(connection.execute(text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")).scalar_one())


__all__ = ["Database", "Engine", "retried"]
