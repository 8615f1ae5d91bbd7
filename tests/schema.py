"""
Today's schema in a new SQLite database, without the work of all its migrations: they run once in each process of the
tests, and every database begins as a copy of what they made.  PostgreSQL has its own templates (tests/postgres.py).
"""

import functools
import tempfile
from pathlib import Path

from sqlalchemy import make_url

from moorage.database import Database
from moorage.database.migrate import upgrade


def begin(url: str) -> None:
    """Leave today's schema in the SQLite database at `url`, where there is none yet; elsewhere, nothing happens."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        begin_file(Path(parsed.database))


def begin_file(path: Path) -> None:
    """The same, of the file at `path`."""
    if not path.exists() or path.stat().st_size == 0:
        path.write_bytes(_template())


def migrate(url: str) -> None:
    """Bring the database at `url` to today's schema, and let go of it."""
    begin(url)
    database = Database(url)
    try:
        upgrade(database)
    finally:
        database.close()


@functools.cache
def _template() -> bytes:
    with tempfile.TemporaryDirectory(prefix="moor-schema-") as directory:
        path = Path(directory) / "moorage.db"
        database = Database(f"sqlite:///{path}")
        try:
            upgrade(database)
        finally:
            database.close()
        assert not path.with_name(f"{path.name}-wal").exists(), "what it says is not yet in it"
        return path.read_bytes()
