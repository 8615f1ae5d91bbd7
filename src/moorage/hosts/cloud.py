"""
Which cloud a state directory belongs to. Bytes that no row names are nobody's only where the rows are those of the
right database; beside another one, which knows nothing, everything would be.
"""

from pathlib import Path

from sqlalchemy import select

from moorage.core.errors import Problem
from moorage.database import Transaction
from moorage.hosts.records import cloud


class WrongDatabase(Problem):
    """{state} belongs to another database: is --config or $MOORAGE_DATABASE missing? If it is not, remove {note}."""

    status, code = 500, "cloud.wrong-database"


def id_of(tx: Transaction) -> str:
    """The cloud's id, made with its tables and kept by every copy of its database."""
    return str(tx.all(select(cloud.c.id))[0]["id"])


def belonging(note: Path, id: str) -> bool:
    """Whether the directory of `note` belongs to the cloud `id`, or to none yet; any other one is refused."""
    try:
        there = note.read_text().strip()
    except FileNotFoundError:
        return False
    if there != id:
        raise WrongDatabase(state=note.parent, note=note)
    return True
