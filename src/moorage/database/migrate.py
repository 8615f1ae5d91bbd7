"""
Migrations: brings the schema of a database to what this release knows, whatever release made it.

Each file of `migrations/` is one change. The database keeps the names of those that were applied; the missing ones are
applied in the order of their numbers, all in one transaction, by one process at a time. A start that finds nothing to
do costs one query and does not load alembic, whose operations the files are written in.
"""

import importlib
import logging
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Connection, Table, insert, inspect, select

from moorage.database.engine import Database
from moorage.database.errors import SchemaTooNew
from moorage.database.schema import metadata, moment, text

log = logging.getLogger(__name__)

applied = Table("schema_changes", metadata, text("name", 64, primary_key=True), moment("at", nullable=False))


def known() -> list[str]:
    """The names of all changes that this release knows, oldest first."""
    return sorted(path.stem for path in (Path(__file__).parent / "migrations").glob("[0-9]*_*.py"))


def upgrade(database: Database) -> list[str]:
    """Apply what is missing; the names of what was. Raises `SchemaTooNew` where the database knows more than we do."""
    missing = _missing(database)
    if not missing:
        return []
    with database.migrating() as connection:
        missing = missing_of(_recorded(connection))  # another process may have been faster
        if missing:
            _apply(connection, missing, database.dialect)
    log.info("the schema was changed: %s", ", ".join(missing) or "by another process")
    return missing


def _missing(database: Database) -> list[str]:
    with database.engine.connect() as connection:
        return missing_of(_recorded(connection))


def missing_of(recorded: Sequence[str], names: Sequence[str] | None = None) -> list[str]:
    """Which of `names` (all that are known) are not among the recorded ones; refuses records of what is not known."""
    names = known() if names is None else names
    unknown = sorted(set(recorded) - set(names))
    if unknown:
        raise SchemaTooNew(unknown=", ".join(unknown), newest=names[-1] if names else "none")
    return [name for name in names if name not in recorded]


def _recorded(connection: Connection) -> list[str]:
    if not inspect(connection).has_table(applied.name):
        return []
    return list(connection.execute(select(applied.c.name)).scalars())


def _apply(connection: Connection, names: Sequence[str], dialect: str) -> None:
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext

    if not inspect(connection).has_table(applied.name):
        applied.create(connection)
    context = MigrationContext.configure(connection, opts={"render_as_batch": True, "target_metadata": metadata})
    with Operations.context(context):
        for name in names:
            _load(name).upgrade()
            connection.execute(insert(applied).values(name=name, at=_now(connection, dialect)))


def _load(name: str) -> Any:
    module: ModuleType = importlib.import_module(f"moorage.database.migrations.{name}")
    return module


def _now(connection: Connection, dialect: str) -> int:
    from moorage.database import postgresql, sqlite

    return sqlite.now() if dialect == "sqlite" else postgresql.now(connection)


__all__ = ["applied", "known", "missing_of", "upgrade"]
