"""Many values as one parameter find what `IN` finds, on both engines."""

import pytest
from sqlalchemy import func, insert, select

from moorage.database import Database
from moorage.database.among import among, several
from moorage.volumes.records import quotas

IDS = ["a", "b'", 'c"', "d\\", "é\U0001f600", "", "null", "1"]


@pytest.fixture
def filled(database: Database) -> Database:
    with database.write() as tx:
        tx.run(insert(quotas), [{"id": id, "limits": {"n": [1.5, None, "ü"]}, "usage": {}} for id in IDS])
    return database


@pytest.mark.parametrize("wanted", [[], ["a"], IDS, ["x", "1", "é\U0001f600"], ["%", "[", "a"] * 500])
def test_the_rows_among_the_values(filled: Database, wanted: list[str]) -> None:
    fixed = select(quotas.c.id).where(among(quotas.c.id, several("ids")))
    with filled.read() as tx:
        expected = sorted(set(wanted) & set(IDS))
        assert sorted(row["id"] for row in tx.all(select(quotas.c.id).where(among(quotas.c.id, wanted)))) == expected
        assert sorted(row["id"] for row in tx.all(fixed, {"ids": wanted})) == expected


def test_its_contrary_and_its_company(filled: Database) -> None:
    with filled.read() as tx:
        query = select(func.count()).where(~among(quotas.c.id, ["a", "1"]), quotas.c.id != "null")
        assert tx.value(query) == len(IDS) - 3


def test_documents_come_back_as_they_were(filled: Database) -> None:
    with filled.read() as tx:
        assert {str(row["limits"]) for row in tx.all(select(quotas))} == {str({"n": [1.5, None, "ü"]})}
