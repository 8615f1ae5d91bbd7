"""
Fixed statements: written once, as constants with parameters, and carried out many times.

What a database wants of one (its text, how values go in, how rows come out) is found out at its first use.  From then
on it costs what the database takes; to look at a statement anew each time costs five times that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Delete, Dialect, Insert, Select, Table, Update, bindparam, insert, select, update
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import DBAPIError

Process = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement as one database wants it."""

    text: str
    given: Mapping[str, Any]  #: values of parameters that the statement itself gives
    order: tuple[str, ...] | None  #: parameters by position; None where the database takes them by name
    into: tuple[tuple[str, Process], ...]  #: what is done to values on their way in
    names: tuple[str, ...]  #: of the columns that come back
    out: tuple[tuple[str, Process], ...]  #: what is done to values on their way out

    def values(self, asked: Mapping[str, Any]) -> Any:
        """The parameters, as the database takes them."""
        found = {**self.given, **asked}
        for name, process in self.into:
            found[name] = process(found[name])
        if self.order is None:
            return found
        return [found[name] for name in self.order]

    def rows(self, found: Sequence[Any]) -> list[dict[str, Any]]:
        """What came back, as plain dictionaries."""
        names = self.names
        rows = [dict(zip(names, row, strict=True)) for row in found]
        for name, process in self.out:
            for row in rows:
                if (value := row[name]) is not None:
                    row[name] = process(value)
        return rows


class Fixed:
    """A statement that is not changed any more. `tx.one`, `all`, `value` and `run` take it like any other."""

    def __init__(self, statement: Select[Any] | Insert | Update | Delete, *, then: str = "") -> None:
        """`then` is added to its text: what both databases know and SQLAlchemy has only for each of them."""
        self.statement, self._then = statement, then
        self._plans: dict[Any, Plan] = {}

    def __str__(self) -> str:
        return str(self.statement)

    def execute(
        self, connection: DBAPIConnection, dialect: Dialect, values: Mapping[str, Any] | None
    ) -> tuple[Plan, DBAPICursor]:
        """Carry it out on the driver's own connection; how to read the answer, and the answer."""
        values = values or {}
        plan = self._plan(dialect, values)
        cursor = connection.cursor()
        try:
            cursor.execute(plan.text, plan.values(values))
        except dialect.loaded_dbapi.Error as problem:  # told like all others, without the values: some are secrets
            error = dialect.loaded_dbapi.Error
            told = DBAPIError.instance(plan.text, None, problem, error, hide_parameters=True, dialect=dialect)
            raise told from problem
        return plan, cursor

    def _plan(self, dialect: Dialect, values: Mapping[str, Any]) -> Plan:
        key = (dialect.name, *values) if isinstance(self.statement, Insert) else dialect.name
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = _planned(self.statement, self._then, dialect, tuple(values))
        return plan


def _planned(statement: Any, then: str, dialect: Dialect, names: tuple[str, ...]) -> Plan:
    inserts = isinstance(statement, Insert)
    if inserts and not statement.exported_columns:  # else a key that the database makes would come back unasked
        statement = statement.inline()
    compiled: Any = statement.compile(dialect=dialect, column_keys=list(names) if inserts else None)
    if "POSTCOMPILE" in compiled.string:
        raise AssertionError(f"a list of values is not a parameter; use `among` or `either`: {compiled.string}")
    kinds = {name: bind.type.dialect_impl(dialect) for bind, name in compiled.bind_names.items()}
    given = {name: bind.value for bind, name in compiled.bind_names.items() if not bind.required}
    if inserts:
        given |= {column.key: column.default.arg for column in compiled.insert_prefetch}
    into = tuple((name, process) for name, kind in kinds.items() if (process := kind.bind_processor(dialect)))
    returned = {
        column.key: column.type.dialect_impl(dialect).result_processor(dialect, None)
        for column in statement.exported_columns
    }
    return Plan(
        compiled.string + then,
        given,
        tuple(compiled.positiontup) if compiled.positional else None,
        into,
        tuple(returned),
        tuple((name, process) for name, process in returned.items() if process),
    )


@lru_cache(64)
def row_of(table: Table) -> Fixed:
    """The row of `table` whose id is `the_id`."""
    return Fixed(select(table).where(table.c.id == bindparam("the_id")))


@lru_cache(64)
def new_row(table: Table) -> Fixed:
    """A new row of `table`."""
    return Fixed(insert(table))


@lru_cache(64)
def new_row_unless_there(table: Table) -> Fixed:
    """A new row of `table`, unless there is one with its id."""
    return Fixed(insert(table), then=" ON CONFLICT (id) DO NOTHING")


@lru_cache(256)
def change_of(table: Table, columns: tuple[str, ...]) -> Fixed:
    """Set `columns` in the row whose id is `the_id`."""
    values = {column: bindparam(f"new_{column}", type_=table.c[column].type) for column in columns}
    return Fixed(update(table).where(table.c.id == bindparam("the_id")).values(values))
