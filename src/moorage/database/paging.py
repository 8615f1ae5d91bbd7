"""Pages by key, not by counting: page 1 000 of a million rows costs what page 1 does."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, Table, and_, bindparam, or_, select

from moorage.core.paging import Order, Page
from moorage.database.fixed import Fixed
from moorage.database.transaction import Row, Transaction


def page_of(tx: Transaction, table: Table, page: Page, marker: Mapping[str, Any] | None, **equal: Any) -> Sequence[Row]:
    """The page of those rows whose columns are `equal` to these values: one fixed statement for each kind of list."""
    nulls = None if marker is None else tuple(o.key for o in page.order if marker[o.key] is None)
    values = {f"is_{column}": value for column, value in equal.items()} | {"the_limit": page.limit}
    if marker is not None:
        values |= {
            f"after_{key}": marker[key] for key in {*(o.key for o in page.order), "id"} if marker[key] is not None
        }
    return tx.all(_fixed(table, page.order, tuple(equal), nulls), values)


@lru_cache(256)
def _fixed(table: Table, order: tuple[Order, ...], equal: tuple[str, ...], nulls: tuple[str, ...] | None) -> Fixed:
    c = table.c
    query = select(table).where(*(c[column] == bindparam(f"is_{column}", type_=c[column].type) for column in equal))
    marker: dict[str, Any] | None = None
    if nulls is not None:
        marker = {
            key: None if key in nulls else bindparam(f"after_{key}", type_=c[key].type)
            for key in {*(o.key for o in order), "id"}
        }
    whole = paged(query, table, Page(0, order=order), marker)
    return Fixed(whole.limit(bindparam("the_limit", type_=BigInteger)).offset(None))


def paged(query: Select[Any], table: Table, page: Page, marker: Mapping[str, Any] | None = None) -> Select[Any]:
    """
    `query` cut to `page`, after the row `marker` (the marker's own row, looked up by the caller), in a total order.
    """
    order = (
        page.order if any(o.key == "id" for o in page.order) else (*page.order, Order("id", page.order[-1].descending))
    )
    if marker is not None:
        query = query.where(_after(table, order, marker))
    for o in order:
        column = table.c[o.key]
        by = column.desc() if o.descending else column.asc()
        if column.nullable:  # where there are no nulls, PostgreSQL would not see that an index has this very order
            by = by.nulls_last() if o.descending else by.nulls_first()
        query = query.order_by(by)
    return query.limit(page.limit).offset(page.offset or None)


def _after(table: Table, order: tuple[Order, ...], marker: Mapping[str, Any]) -> ColumnElement[bool]:
    """Rows that come after `marker`: equal in the first n keys and beyond it in the next one. Null is the smallest."""
    clauses: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for o in order:
        column, value = table.c[o.key], marker[o.key]
        beyond: ColumnElement[bool] | None
        if value is None:
            beyond = None if o.descending else column.is_not(None)
        elif o.descending:
            beyond = or_(column < value, column.is_(None)) if column.nullable else column < value
        else:
            beyond = column > value
        if beyond is not None:
            clauses.append(and_(*equal, beyond))
        equal.append(column.is_(None) if value is None else column == value)
    return and_(*_bound(table, order[0], marker), or_(*clauses))


def _bound(table: Table, first: Order, marker: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """What follows of the first key alone, said once more: in this form databases begin at the marker."""
    column, value = table.c[first.key], marker[first.key]
    if value is None or (first.descending and column.nullable):
        return []
    return [column <= value if first.descending else column >= value]
