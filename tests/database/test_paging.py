"""Pages by key, put together, are the whole list, in order, each row once; nulls and both directions included."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Column, MetaData, String, Table, delete, insert, select

from moorage.core.paging import Order, Page
from moorage.database import Database
from moorage.database.paging import paged

rows = Table(
    "rows",
    MetaData(),
    Column("id", String(8), primary_key=True),
    Column("size", BigInteger),
    Column("name", String(8)),
    Column("at", BigInteger, nullable=False),
)

some_rows = st.lists(
    st.fixed_dictionaries(
        {
            "size": st.none() | st.integers(0, 3),
            "name": st.none() | st.sampled_from(["a", "b", "B", ""]),
            "at": st.integers(0, 2),
        }
    ),
    max_size=25,
)
orders = st.lists(
    st.tuples(st.sampled_from(["size", "name", "at", "id"]), st.booleans()),
    min_size=1,
    max_size=3,
    unique_by=lambda o: o[0],
)


@pytest.fixture
def row_database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    rows.metadata.create_all(database.engine)
    yield database
    database.close()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=some_rows, order=orders, limit=st.integers(1, 6))
def test_the_pages_are_the_list(
    row_database: Database, content: list[dict[str, Any]], order: list[tuple[str, bool]], limit: int
) -> None:
    wanted = [{"id": f"{n:04}", **row} for n, row in enumerate(content)]
    with row_database.write() as tx:
        tx.run(delete(rows))
        if wanted:
            tx.run(insert(rows), wanted)
    asked = tuple(Order(key, descending) for key, descending in order)
    found: list[Any] = []
    with row_database.read() as tx:
        while part := tx.all(paged(select(rows), rows, Page(limit, order=asked), found[-1] if found else None)):
            assert len(part) <= limit
            found += part
    assert [dict(row) for row in found] == in_order(wanted, asked)


def in_order(wanted: list[dict[str, Any]], order: tuple[Order, ...]) -> list[dict[str, Any]]:
    """What Python's sort makes of it: null is the smallest, the id decides, in the last key's direction."""
    full = order if any(o.key == "id" for o in order) else (*order, Order("id", order[-1].descending))
    for o in reversed(full):
        nothing: Any = "" if o.key in ("id", "name") else 0
        keyed = [((row[o.key] is not None, nothing if row[o.key] is None else row[o.key]), row) for row in wanted]
        wanted = [row for _, row in sorted(keyed, key=lambda pair: pair[0], reverse=o.descending)]
    return wanted


def test_an_offset_skips(row_database: Database) -> None:
    with row_database.write() as tx:
        tx.run(insert(rows), [{"id": str(n), "at": n} for n in range(5)])
    with row_database.read() as tx:
        page = Page(2, order=(Order("at"),), offset=2)
        assert [row["id"] for row in tx.all(paged(select(rows), rows, page))] == ["2", "3"]
