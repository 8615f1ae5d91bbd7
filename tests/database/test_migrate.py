"""The schema that migrations make is the one that the code describes, whoever makes it and however often."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, MetaData, String, Table, delete, insert, inspect, select, text

from moorage.database import Database, migrate
from moorage.database.errors import SchemaTooNew
from moorage.database.schema import metadata
from tests.operations.test_journal import both

PACKAGE = Path(migrate.__file__).parents[1]


def test_the_migrated_schema_is_the_one_that_the_rooms_describe(database_url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    for path in PACKAGE.glob("**/records.py"):
        importlib.import_module(".".join(("moorage", *path.relative_to(PACKAGE).with_suffix("").parts)))
    database = Database(database_url)
    migrate.upgrade(database)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert len(inspect(connection).get_indexes("operations")) == 5
    database.close()


def test_migrating_again_changes_nothing_and_loads_nothing(state_dir: Path) -> None:
    url = f"sqlite:///{state_dir}/moorage.db"
    script = (
        "import sys; from moorage.database import Database, migrate\n"
        "made = migrate.upgrade(Database(sys.argv[1])); print(len(made), 'alembic' in sys.modules)"
    )
    said = [
        subprocess.run([sys.executable, "-c", script, url], check=True, capture_output=True, text=True).stdout.split()
        for _ in range(2)
    ]
    assert said == [[str(len(migrate.known())), "True"], ["0", "False"]]


def test_two_processes_may_start_at_once(database_url: str) -> None:
    made: list[list[str]] = []

    def start() -> None:
        database = Database(database_url)
        made.append(migrate.upgrade(database))
        database.close()

    assert both(start, start, start) == [None] * 3
    assert sorted(map(len, made)) == [0, 0, len(migrate.known())]


def test_a_newer_database_is_refused(database_url: str) -> None:
    database = Database(database_url)
    migrate.upgrade(database)
    with database.write() as tx:
        tx.run(insert(migrate.applied).values(name="9999_future", at=tx.now))
    with pytest.raises(SchemaTooNew, match="9999_future"):
        migrate.upgrade(database)
    database.close()


def test_a_change_that_comes_late_is_still_made(database_url: str) -> None:
    database = Database(database_url)
    migrate.upgrade(database)
    with database.write() as tx:
        tx.run(delete(migrate.applied).where(migrate.applied.c.name == "0001_journal"))
        tx.run(text("DROP TABLE jobs"))
        for name in ("operations", "processes", "events"):
            tx.run(text(f"DROP TABLE {name}"))
    assert migrate.upgrade(database) == ["0001_journal"]
    assert migrate.missing_of(["0003_c"], ["0001_a", "0002_b", "0003_c"]) == ["0001_a", "0002_b"]
    database.close()


def test_a_change_that_fails_leaves_nothing(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database, load = Database(database_url), migrate._load

    def broken(name: str) -> Any:
        if name == migrate.known()[-1]:
            raise ZeroDivisionError
        return load(name)

    monkeypatch.setattr(migrate, "_load", broken)
    with pytest.raises(ZeroDivisionError):
        migrate.upgrade(database)
    with database.engine.connect() as connection:
        assert inspect(connection).get_table_names() == []
    database.close()


def test_changing_a_table_keeps_the_rows_that_refer_to_it(database_url: str) -> None:
    """SQLite changes a table by making it anew; dropping the old one must not take its children along."""
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext

    toys = MetaData()
    parents = Table("parents", toys, Column("id", String(8), primary_key=True), Column("old", String(8)))
    owner = Column("parent", String(8), ForeignKey("parents.id", ondelete="CASCADE"))
    children = Table("children", toys, Column("id", String(8), primary_key=True), owner)
    database = Database(database_url)
    toys.create_all(database.engine)
    with database.write() as tx:
        tx.run(insert(parents).values(id="p"))
        tx.run(insert(children).values(id="c", parent="p"))
    with database.migrating() as connection:
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("parents", recreate="auto") as batch:
            batch.drop_column("old")
            batch.alter_column("id", type_=String(64), existing_type=String(8))
    with database.read() as tx:
        assert tx.all(select(children.c.id)) == [{"id": "c"}]
    database.close()


def test_the_chain_is_in_order() -> None:
    names = migrate.known()
    assert names[0] == "0001_journal" and all(re.fullmatch(r"\d{4}_[a-z_]+", name) for name in names)
    assert len({name[:4] for name in names}) == len(names)
    for name in names[1:]:
        module = importlib.import_module(f"moorage.database.migrations.{name}")
        assert module.revision == name and module.down_revision < name
