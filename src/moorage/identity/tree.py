"""Projects below and above one another."""

from sqlalchemy import select

from moorage.database import Transaction
from moorage.database.transaction import Row
from moorage.identity import rows
from moorage.identity.claims import Scope
from moorage.identity.records import projects


def above(tx: Transaction, project_id: str) -> list[Row]:
    """The projects above this one, nearest first."""
    found: list[Row] = []
    row = rows.find(tx, projects, project_id)
    while row is not None and row["parent_id"] is not None:
        row = rows.find(tx, projects, row["parent_id"])
        if row is not None:
            found.append(row)
    return found


def below(tx: Transaction, scope: Scope) -> set[str]:
    """The ids of all projects of a domain, or of all below a project."""
    if scope.kind == "domain":
        return {row["id"] for row in tx.all(select(projects.c.id).where(projects.c.domain_id == scope.id))}
    found: set[str] = set()
    level = {scope.id}
    while level:
        level = {row["id"] for row in tx.all(select(projects.c.id).where(projects.c.parent_id.in_(level)))} - found
        found |= level
    return found
