"""
A transaction: what a verb's checks and changes are made in, together or not at all.

On PostgreSQL a verb first locks the rows that it decides on, by kind and id in the order of `LOCK_ORDER`; on SQLite the
write transaction itself does that.  A lock taken out of order is a programming error and raises at once, on both.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, select
from sqlalchemy.sql import Executable
from sqlalchemy.sql.base import Executable as _Executable

#: Tables whose rows are locked, in the order in which a transaction may lock them.
LOCK_ORDER = ("identity_versions", "operations", "quotas", "images", "volumes", "attachments", "hosts")

Statement = Executable | _Executable
Row = RowMapping


class Transaction:
    """One transaction on one connection. Made by `Database.read` and `Database.write`, ended by them."""

    def __init__(
        self, connection: Connection, clock: Callable[[Connection], int], *, locks_rows: bool, writes: bool,
        tell: Callable[[str, str], None] = lambda topic, what: None,
    ) -> None:
        self._connection, self._clock, self._locks_rows = connection, clock, locks_rows
        self._now: int | None = None
        self._last_lock = (-1, "")
        self._before: list[Callable[[Transaction], None]] = []
        self._after: list[Callable[[], None]] = []
        self._tell = tell
        self.writes = writes

    @property
    def dialect(self) -> str:
        """"sqlite" or "postgresql"."""
        return self._connection.dialect.name

    @property
    def now(self) -> int:
        """The database's time when it was first asked for, in microseconds since 1970: the same for the whole transaction."""
        if self._now is None:
            self._now = self._clock(self._connection)
        return self._now

    def all(self, statement: Statement, values: Any = None) -> Sequence[Row]:
        """All rows of a query."""
        return self._connection.execute(statement, values).mappings().all()  # type: ignore[call-overload, no-any-return]

    def one(self, statement: Statement, values: Any = None) -> Row | None:
        """The first row of a query, if there is any."""
        return self._connection.execute(statement, values).mappings().first()  # type: ignore[call-overload, no-any-return]

    def value(self, statement: Statement, values: Any = None) -> Any:
        """The first column of the first row; None when there is no row."""
        return self._connection.execute(statement, values).scalar()  # type: ignore[call-overload]

    def run(self, statement: Statement, values: Any = None) -> int:
        """Carry out a change; how many rows it touched."""
        return self._connection.execute(statement, values).rowcount  # type: ignore[call-overload, no-any-return]

    def lock(self, table: Table, ids: Iterable[str]) -> list[Row]:
        """The rows of `table` with these ids, nobody else changing them before the end. Missing ones are left out."""
        rank, wanted = LOCK_ORDER.index(table.name), sorted(set(ids))
        if wanted and (rank, wanted[0]) < self._last_lock:
            raise AssertionError(f"{table.name} {wanted[0]} is locked after {self._last_lock}")
        found = []
        for id in wanted:
            query = select(table).where(table.c.id == id)
            row = self.one(query.with_for_update() if self._locks_rows else query)
            self._last_lock = (rank, id)
            if row is not None:
                found.append(row)
        return found

    def before_commit(self, hook: Callable[["Transaction"], None]) -> None:
        """Run `hook` as the transaction's last statements."""
        self._before.append(hook)

    def after_commit(self, hook: Callable[[], None]) -> None:
        """Run `hook` once what was changed is durable; not at all if it is rolled back."""
        self._after.append(hook)

    def notify(self, topic: str, what: str) -> None:
        """Tell this process's listeners (`Database.listen`), once committed. Other processes find out by looking."""
        self.after_commit(lambda: self._tell(topic, what))

    def finish(self) -> None:
        """Run what waits for the end of the changes. For `Database` only."""
        for hook in self._before:
            hook(self)

    def announce(self) -> None:
        """Run what waits for the commit. For `Database` only."""
        for hook in self._after:
            hook()
