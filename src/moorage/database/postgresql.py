"""
PostgreSQL: the same statements, with row locks (`Transaction.lock`); a transaction whose process hangs is ended by the
server after 10 s, and one statement after 60 s.

We say BEGIN ourselves: it asks for the server's time in the same round trip, and a pooled connection that has died
since shows there, before anything was done, so that no separate ping is needed.
"""

import contextlib
from collections.abc import Iterator

import psycopg
from sqlalchemy import URL, Connection, create_engine
from sqlalchemy.exc import OperationalError

from moorage.database.errors import DatabaseUnavailable
from moorage.database.schema import read_document
from moorage.database.sqlite import ended

_CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_READ = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {_CLOCK}"
_WRITE = f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {_CLOCK}"
_OPTIONS = "-c idle_in_transaction_session_timeout=10000 -c statement_timeout=60000 -c timezone=UTC"
_MIGRATION = 7305808869230500178  #: the advisory lock of who changes the schema


class Postgresql:
    """How PostgreSQL is opened and begun."""

    def __init__(self, url: URL, threads: int) -> None:
        self.engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            isolation_level="AUTOCOMMIT",
            pool_size=threads,
            max_overflow=threads,
            connect_args={"options": _OPTIONS, "connect_timeout": 10},
            json_deserializer=read_document,
            hide_parameters=True,
        )

    @contextlib.contextmanager
    def reading(self) -> Iterator[tuple[Connection, int]]:
        """A connection in a transaction that sees one state, and the server's time."""
        connection, now = self._begun(_READ)
        with connection:
            try:
                yield connection, now
            finally:
                with contextlib.suppress(Exception):
                    connection.exec_driver_sql("ROLLBACK")

    @contextlib.contextmanager
    def writing(self) -> Iterator[tuple[Connection, int]]:
        """The same, with the right to write."""
        connection, now = self._begun(_WRITE)
        with connection, ended(connection.exec_driver_sql):
            yield connection, now

    @contextlib.contextmanager
    def migrating(self) -> Iterator[Connection]:
        """The right to change the schema, for as long as that takes."""
        with self.writing() as (connection, _):
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION})")
            yield connection

    def _begun(self, begin: str) -> tuple[Connection, int]:
        """
        A connection on which `begin` was said. One that died while it lay in the pool is replaced, with all its like.
        """
        try:
            for last in (False, True):
                connection = self.engine.connect()
                try:
                    return connection, _say(connection, begin)
                except psycopg.OperationalError:
                    connection.invalidate()
                    connection.close()
                    if last:
                        raise
                    self.engine.dispose()
                except BaseException:
                    connection.close()
                    raise
        except (OperationalError, psycopg.OperationalError) as problem:
            raise DatabaseUnavailable() from problem
        raise AssertionError("unreachable")

    def after_fork(self) -> None:
        """Have connections of this process's own."""
        self.engine.dispose(close=False)

    def close(self) -> None:
        self.engine.dispose()


def now(connection: Connection) -> int:
    """The server's time, in microseconds since 1970."""
    return int(connection.exec_driver_sql(_CLOCK).scalar_one())


def _say(connection: Connection, begin: str) -> int:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(begin, prepare=False)  # type: ignore[call-arg]  # two statements cannot be prepared as one
        cursor.nextset()
        return int(cursor.fetchone()[0])  # type: ignore[index]
    finally:
        cursor.close()
