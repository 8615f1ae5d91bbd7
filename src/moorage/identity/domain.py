"""Domains: name spaces of users, groups and projects."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from moorage.core.caller import Caller
from moorage.core.ids import new_hex
from moorage.database import Transaction
from moorage.database.transaction import Row
from moorage.identity import assignment, group, project, rows, user, versions
from moorage.identity.errors import Immutable, StillEnabled
from moorage.identity.records import domains, groups, projects, users

DEFAULT = "default"  #: the domain that is always there


def create(tx: Transaction, by: Caller, asked: Mapping[str, Any]) -> Row:
    """The domain is there."""
    versions.change(tx)
    rows.must_be_free(tx, domains, asked["name"])
    row = rows.add(
        tx,
        domains,
        id=new_hex(),
        name=asked["name"],
        description=asked.get("description"),
        enabled=asked.get("enabled", True),
        tags=asked.get("tags") or [],
        options=asked.get("options") or {},
        extra=asked.get("extra") or {},
        created_at=tx.now,
    )
    versions.note(tx, by, "created", "domain", row["id"])
    return row


def update(tx: Transaction, by: Caller, id: str, asked: Mapping[str, Any]) -> Row:
    """The domain has the values that were asked for. Disabling it ends all tokens of its users, for good."""
    versions.change(tx)
    row = rows.get(tx, domains, id)
    if "name" in asked:
        rows.must_be_free(tx, domains, asked["name"], but=id)
    values = rows.merged(row, asked, "domain", ("name", "description", "enabled", "tags"))
    if row["enabled"] and values.get("enabled") is False:
        user.end_tokens(tx, users.c.domain_id == id)
    row = rows.change(tx, domains, id, values)
    versions.note(tx, by, "updated", "domain", id)
    return row


def delete(tx: Transaction, by: Caller, id: str) -> None:
    """The domain is gone, with all its users, groups and projects."""
    versions.change(tx)
    row = rows.get(tx, domains, id)
    if row["enabled"]:
        raise StillEnabled()
    if row["options"].get("immutable"):
        raise Immutable(kind="domain", id=id)
    for found in tx.all(select(groups.c.id).where(groups.c.domain_id == id)):
        group.remove(tx, by, found["id"])
    for found in tx.all(select(users.c.id).where(users.c.domain_id == id)):
        user.remove(tx, by, found["id"])
    for found in tx.all(select(projects.c.id).where(projects.c.domain_id == id)):
        project.remove(tx, by, found["id"])
    assignment.forget(tx, "domain", id)
    rows.drop(tx, domains, id=id)
    versions.note(tx, by, "deleted", "domain", id)
