"""
A transaction: what a verb's checks and changes are made in, together or not at all.

On PostgreSQL a verb first locks the rows that it decides on, by kind and id in the order of `LOCK_ORDER`; on SQLite the
write transaction itself does that.  A lock taken out of order is a programming error and raises at once, on both.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import BindParameter, Connection, Select, Table, bindparam, collate, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.sql import Executable
from sqlalchemy.sql.base import Executable as _Executable

from moorage.database.fixed import Fixed, change_of, new_row, new_row_unless_there, row_of

#: Tables whose rows are locked, in the order in which a transaction may lock them.
LOCK_ORDER = (
    "identity_versions",
    "operations",
    "quotas",
    "image_quotas",
    "volume_types",
    "qos_specs",
    "images",
    "metadef_namespaces",
    "volumes",
    "attachments",
    "layers",
    "hosts",
    "hearing",
    "leases",
)

log = logging.getLogger(__name__)

Statement = Executable | _Executable | Fixed
Row = Mapping[str, Any]


@lru_cache(64)
def _locking(table: Table, several: bool, locks_rows: bool) -> Select[Any]:
    ids: BindParameter[Any] = bindparam("ids", expanding=several)
    query = select(table).where(table.c.id.in_(ids) if several else table.c.id == ids)
    if locks_rows:  # sorted before they are locked, bytewise as Python sorts, whatever the database's locale
        return query.order_by(collate(table.c.id, "C")).with_for_update(of=table)
    return query.order_by(table.c.id)


@lru_cache(64)
def _locking_one(table: Table, locks_rows: bool) -> Fixed:
    return Fixed(_locking(table, False, locks_rows))


class Transaction:
    """One transaction on one connection. Made by `Database.read` and `Database.write`, ended by them."""

    def __init__(
        self,
        connection: Connection,
        now: int,
        *,
        locks_rows: bool,
        writes: bool,
        tell: Callable[[str, Any], None] = lambda topic, what: None,
    ) -> None:
        self._connection, self._locks_rows, self._tell = connection, locks_rows, tell
        self._raw, self._dialect = cast(DBAPIConnection, connection.connection.dbapi_connection), connection.dialect
        self._held: dict[str, set[str]] = {}
        self._last_lock = (-1, "")
        self._before: list[Callable[[Transaction], None]] = []
        self._last: list[Callable[[Transaction], None]] = []
        self._after: list[Callable[[], None]] = []
        self.now = now  #: the database's time when the transaction began, in microseconds since 1970
        self.writes = writes
        self.here: Mapping[str, Any] = {}  #: what rooms of this process offer to transactions, by name

    @property
    def dialect(self) -> str:
        """ "sqlite" or "postgresql"."""
        return self._dialect.name

    def all(self, statement: Statement, values: Any = None) -> Sequence[Row]:
        """All rows of a query, as plain dictionaries: what reads every column of many rows is three times faster so."""
        if isinstance(statement, Fixed):
            plan, cursor = statement.execute(self._raw, self._dialect, values)
            return plan.rows(cursor.fetchall())
        result = self._connection.execute(statement, values)
        names = tuple(result.keys())
        return [dict(zip(names, row, strict=False)) for row in result.all()]

    def one(self, statement: Statement, values: Any = None) -> Row | None:
        """The first row of a query, if there is any."""
        if isinstance(statement, Fixed):
            plan, cursor = statement.execute(self._raw, self._dialect, values)
            found = plan.rows(cursor.fetchall()[:1])
            return found[0] if found else None
        result = self._connection.execute(statement, values)
        row = result.first()
        return None if row is None else dict(zip(result.keys(), row, strict=False))

    def value(self, statement: Statement, values: Any = None) -> Any:
        """The first column of the first row; None when there is no row."""
        if isinstance(statement, Fixed):
            row = self.one(statement, values)
            return next(iter(row.values())) if row else None
        return self._connection.execute(statement, values).scalar()

    def run(self, statement: Statement, values: Any = None) -> int:
        """Carry out a change; how many rows it touched."""
        if isinstance(statement, Fixed):
            return int(statement.execute(self._raw, self._dialect, values)[1].rowcount)
        return self._connection.execute(statement, values).rowcount

    def get(self, table: Table, id: str) -> Row | None:
        """The row of `table` with this id."""
        return self.one(row_of(table), {"the_id": id})

    def enter(self, table: Table, values: Mapping[str, Any]) -> None:
        """A new row of `table`."""
        self.run(new_row(table), values)

    def enter_unless_there(self, table: Table, values: Mapping[str, Any]) -> bool:
        """A new row of `table`; whether there was none with its id, not even one that is committed at this moment."""
        return self.run(new_row_unless_there(table), values) == 1

    def change(self, table: Table, id: str, values: Mapping[str, Any]) -> int:
        """Set `values` in the row of `table` with this id; how many there were."""
        new = {f"new_{column}": value for column, value in values.items()}
        return self.run(change_of(table, tuple(values)), {"the_id": id, **new})

    def lock(self, table: Table, ids: Iterable[str]) -> list[Row]:
        """
        The rows of `table` with these ids, by id, as they are now, nobody else changing them before the end. Missing
        ones are left out. Rows that are locked already may be named again.
        """
        if not self.writes:
            raise AssertionError(f"{table.name} is locked in a transaction that only reads")
        rank, wanted, held = LOCK_ORDER.index(table.name), sorted(set(ids)), self._held.setdefault(table.name, set())
        fresh = [id for id in wanted if id not in held]
        if fresh and (rank, fresh[0]) < self._last_lock:
            before = f"{LOCK_ORDER[self._last_lock[0]]} {self._last_lock[1]}"
            raise AssertionError(f"{table.name} {fresh[0]} is locked after {before}")
        if fresh:
            self._last_lock = (rank, fresh[-1])
            held.update(fresh)
        if not wanted:
            return []
        if len(wanted) == 1:
            return list(self.all(_locking_one(table, self._locks_rows), {"ids": wanted[0]}))
        return list(self.all(_locking(table, True, self._locks_rows), {"ids": wanted}))

    def before_commit(self, hook: Callable[["Transaction"], None], *, last: bool = False) -> None:
        """Run `hook` after the transaction's own statements; with `last` (events), after all hooks that are not."""
        (self._last if last else self._before).append(hook)

    def after_commit(self, hook: Callable[[], None]) -> None:
        """Run `hook` once what was changed is durable; not at all if it is rolled back."""
        self._after.append(hook)

    def notify(self, topic: str, what: Any) -> None:
        """Tell this process's listeners (`Database.listen`), once committed. Other processes find out by looking."""
        self.after_commit(lambda: self._tell(topic, what))

    def finish(self) -> None:
        """Run what waits for the end of the changes. For `Database` only."""
        for hook in self._before:
            hook(self)
        for hook in self._last:
            hook(self)

    def announce(self) -> None:
        """Run what waits for the commit; what fails there is logged, since the changes stand. For `Database` only."""
        for hook in self._after:
            try:
                hook()
            except Exception:
                log.exception("a hook after a commit failed")
