"""One database, two engines: SQLite for one machine, PostgreSQL beyond it."""

from moorage.database.engine import Database
from moorage.database.transaction import Transaction

__all__ = ["Database", "Transaction"]
