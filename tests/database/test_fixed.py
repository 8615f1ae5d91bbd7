"""Fixed statements mean what the same statements mean to SQLAlchemy."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Column, Index, MetaData, Table, bindparam, delete, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from moorage.database import Database
from moorage.database.among import among, either, several
from moorage.database.fixed import Fixed
from moorage.database.schema import document, flag, identifier, number
from moorage.operations import journal

toys = MetaData()
# fmt: off
volumes = Table(
    "volumes", toys,
    identifier(primary_key=True), document("metadata"), flag("bootable"), number("size", nullable=False, default=7),
    Column("other", identifier().type), Index("ix_toys_other", "other"),
)
# fmt: on
ROW = {"id": "v", "metadata": {"a": [1, None, "é"]}, "bootable": True, "size": 7, "other": None}


@pytest.fixture
def toy_database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    toys.create_all(database.engine)
    yield database
    database.close()


def given(database: Database, **values: Any) -> None:
    with database.write() as tx:
        tx.enter(volumes, {"id": "v", **values})


def test_values_come_back_as_they_went_in(toy_database: Database) -> None:
    given(toy_database, metadata=ROW["metadata"], bootable=True)
    with toy_database.read() as tx:
        assert tx.get(volumes, "v") == tx.one(select(volumes)) == ROW
        assert tx.get(volumes, "w") is None
    with toy_database.write() as tx:
        assert tx.change(volumes, "v", {"metadata": None, "bootable": False}) == 1
        assert tx.change(volumes, "w", {"size": 8}) == 0
    with toy_database.read() as tx:
        assert tx.get(volumes, "v") == tx.one(select(volumes)) == {**ROW, "metadata": None, "bootable": False}


def test_what_a_change_returns_is_read_like_a_row(toy_database: Database) -> None:
    given(toy_database, metadata={"a": 1})
    gone = Fixed(delete(volumes).where(volumes.c.id == bindparam("the_id")).returning(volumes.c["metadata"]))
    with toy_database.write() as tx:
        assert tx.all(gone, {"the_id": "v"}) == [{"metadata": {"a": 1}}]
        assert tx.value(Fixed(select(volumes.c.id))) is None


def test_an_error_is_sqlalchemys_and_shows_no_value(toy_database: Database) -> None:
    given(toy_database)
    for enter in (Fixed(insert(volumes)), insert(volumes)):
        with pytest.raises(IntegrityError) as caught, toy_database.write() as tx:
            tx.run(enter, {"id": "v", "metadata": "a secret"})
        assert "a secret" not in str(caught.value) and "INSERT" in str(caught.value)
    given(toy_database, id="another")  # the connection is as good as before


def test_a_missing_value_is_told_by_name(toy_database: Database) -> None:
    with pytest.raises((KeyError, DBAPIError), match="the_id"), toy_database.read() as tx:
        tx.one(Fixed(select(volumes).where(volumes.c.id == bindparam("the_id"))), {"id": "v"})


def test_a_list_is_one_parameter_or_part_of_the_statement(toy_database: Database) -> None:
    given(toy_database)
    listed = Fixed(select(volumes.c.id).where(among(volumes.c.id, several("ids"))))
    written = Fixed(select(volumes.c.id).where(either(volumes.c.id, ["v", "w"])))
    with toy_database.read() as tx:
        assert tx.all(listed, {"ids": ["x", "v"]}) == tx.all(written) == [{"id": "v"}]
        with pytest.raises(AssertionError, match="among"):
            tx.all(Fixed(select(volumes).where(volumes.c.id.in_(["v"]))))
    with pytest.raises(AssertionError, match="not words"):
        either(volumes.c.id, ["v'"])


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("query", [journal._OPEN_ON, journal._OPEN_ON_ONE], ids=["several", "one"])
def test_the_open_operations_of_a_resource_are_found_by_an_index(database: Database, query: Fixed) -> None:
    compiled = query.statement.compile(database.engine)
    with database.engine.connect() as connection:
        values = {"resource": "volume", "ids": "[]", "the_resource": "v"}
        words = str(compiled).replace("?", "{}").format(*(f":{name}" for name in compiled.positiontup or ()))
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN {words}"), values).all()
    assert any("ix_operations_resource (resource_kind=? AND resource_id=?" in row[3] for row in plan), plan
