"""Projects: what owns volumes and images."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import select

from moorage.core.caller import Caller
from moorage.core.ids import new_hex
from moorage.database import Transaction
from moorage.database.transaction import Row
from moorage.identity import assignment, rows, tree, versions
from moorage.identity.claims import Scope
from moorage.identity.errors import Immutable, InUse, Missing, Unfit
from moorage.identity.records import application_credentials, domains, projects

DEEPEST = 5  #: projects above one another


def create(tx: Transaction, by: Caller, asked: Mapping[str, Any]) -> Row:
    """The project is there, in its parent's domain."""
    versions.change(tx)
    parent = asked.get("parent_id")
    domain_id = asked.get("domain_id") or by.domain_id or "default"
    if parent and rows.find(tx, domains, parent) is not None:
        domain_id, parent = parent, None
    if parent:
        domain_id = _below(tx, parent, asked.get("domain_id"))
    rows.get(tx, domains, domain_id)
    rows.must_be_free(tx, projects, asked["name"], domain_id)
    row = rows.add(
        tx,
        projects,
        id=new_hex(),
        domain_id=domain_id,
        parent_id=parent,
        name=asked["name"],
        description=asked.get("description") or "",
        enabled=asked.get("enabled", True),
        tags=asked.get("tags") or [],
        options=asked.get("options") or {},
        extra=asked.get("extra") or {},
        created_at=tx.now,
    )
    versions.note(tx, by, "created", "project", row["id"], row["id"])
    return row


def _below(tx: Transaction, parent_id: str, domain_id: str | None) -> str:
    """The domain of what is made below a project, where that makes sense."""
    parent = rows.get(tx, projects, parent_id)
    if domain_id not in (None, parent["domain_id"]):
        raise Unfit(reason="A project must be in its parent's domain.")
    if not parent["enabled"]:
        raise Unfit(reason=f"The parent project {parent_id} is disabled.")
    if len(tree.above(tx, parent_id)) + 2 > DEEPEST:
        raise Unfit(reason=f"Projects may be nested {DEEPEST} deep at most.")
    return str(parent["domain_id"])


def update(tx: Transaction, by: Caller, id: str, asked: Mapping[str, Any]) -> Row:
    """The project has the values that were asked for."""
    versions.change(tx)
    row = rows.get(tx, projects, id)
    if asked.get("domain_id", row["domain_id"]) != row["domain_id"]:
        raise Unfit(reason="A project cannot move to another domain.")
    if asked.get("parent_id", row["parent_id"] or row["domain_id"]) != (row["parent_id"] or row["domain_id"]):
        raise Unfit(reason="A project cannot move to another parent.")
    if "name" in asked:
        rows.must_be_free(tx, projects, asked["name"], row["domain_id"], but=id)
    if asked.get("enabled") is False and _children(tx, id, enabled=True):
        raise InUse(kind="Project", id=id, reason="projects below it are enabled")
    row = rows.change(tx, projects, id, rows.merged(row, asked, "project", ("name", "description", "enabled", "tags")))
    versions.note(tx, by, "updated", "project", id, id)
    return row


def retag(tx: Transaction, by: Caller, id: str, more: Collection[str] = (), less: Collection[str] | None = ()) -> Row:
    """The project has the tags `more` as well, and those of `less` no longer (None: no others)."""
    versions.change(tx)
    there = set() if less is None else set(rows.get(tx, projects, id)["tags"])
    for tag in less or ():
        if tag not in there:
            raise Missing(kind="project tag", id=tag[:64])
    return update(tx, by, id, {"tags": sorted(there - set(less or ()) | set(more))})


def delete(tx: Transaction, by: Caller, id: str) -> None:
    """The project is gone, and every role on it. What it owns elsewhere stays, for administrators to see to."""
    versions.change(tx)
    row = rows.get(tx, projects, id)
    if row["options"].get("immutable"):
        raise Immutable(kind="project", id=id)
    if _children(tx, id):
        raise InUse(kind="Project", id=id, reason="it has projects below it")
    remove(tx, by, id)


def remove(tx: Transaction, by: Caller, id: str) -> None:
    """The project's row is gone, and what names it here."""
    assignment.forget(tx, "project", id)
    rows.drop(tx, application_credentials, project_id=id)
    rows.drop(tx, projects, id=id)
    versions.note(tx, by, "deleted", "project", id, id)


def usable(tx: Transaction, user_id: str, row: Row) -> bool:
    """Whether the user may have a token for this project now."""
    home = rows.find(tx, domains, row["domain_id"])
    enabled = row["enabled"] and home is not None and home["enabled"]
    return enabled and bool(assignment.effective(tx, user_id, Scope("project", row["id"])))


def _children(tx: Transaction, id: str, enabled: bool | None = None) -> bool:
    query = select(projects.c.id).where(projects.c.parent_id == id)
    return tx.one(query if enabled is None else query.where(projects.c.enabled == enabled)) is not None
