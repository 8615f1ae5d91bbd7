"""Pages by key, not by counting: page 1 000 of a million rows costs what page 1 does."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, or_

from moorage.core.paging import Order, Page


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
        query = query.order_by(column.desc().nulls_last() if o.descending else column.asc().nulls_first())
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
    return or_(*clauses)
