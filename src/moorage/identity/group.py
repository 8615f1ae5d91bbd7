"""Groups of users: what a group may, each of its users may."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import insert, select

from moorage.core.caller import Caller
from moorage.core.ids import new_hex
from moorage.database import Transaction
from moorage.database.transaction import Row
from moorage.identity import assignment, rows, versions
from moorage.identity.errors import Missing, Unfit
from moorage.identity.records import domains, groups, memberships, users


def create(tx: Transaction, by: Caller, asked: Mapping[str, Any]) -> Row:
    """The group is there, and empty."""
    versions.change(tx)
    domain_id = asked.get("domain_id") or by.domain_id or "default"
    rows.get(tx, domains, domain_id)
    rows.must_be_free(tx, groups, asked["name"], domain_id)
    row = rows.add(
        tx,
        groups,
        id=new_hex(),
        domain_id=domain_id,
        name=asked["name"],
        description=asked.get("description") or "",
        extra=asked.get("extra") or {},
        created_at=tx.now,
    )
    versions.note(tx, by, "created", "group", row["id"])
    return row


def update(tx: Transaction, by: Caller, id: str, asked: Mapping[str, Any]) -> Row:
    """The group has the values that were asked for."""
    versions.change(tx)
    row = rows.get(tx, groups, id)
    if asked.get("domain_id", row["domain_id"]) != row["domain_id"]:
        raise Unfit(reason="A group cannot move to another domain.")
    if "name" in asked:
        rows.must_be_free(tx, groups, asked["name"], row["domain_id"], but=id)
    row = rows.change(tx, groups, id, rows.merged(row, asked, "group", ("name", "description")))
    versions.note(tx, by, "updated", "group", id)
    return row


def delete(tx: Transaction, by: Caller, id: str) -> None:
    """The group is gone, and what it was given; its users stay."""
    versions.change(tx)
    rows.get(tx, groups, id)
    remove(tx, by, id)


def remove(tx: Transaction, by: Caller, id: str) -> None:
    """The group's row is gone, and what names it here."""
    assignment.forget(tx, "group", id)
    rows.drop(tx, memberships, group_id=id)
    rows.drop(tx, groups, id=id)
    versions.note(tx, by, "deleted", "group", id)


def add(tx: Transaction, by: Caller, id: str, user_id: str) -> None:
    """The user is in the group."""
    versions.change(tx)
    if not has(tx, id, user_id):
        tx.run(insert(memberships).values(group_id=id, user_id=user_id))
        versions.note(tx, by, "joined", "group", id, user=user_id)


def take_out(tx: Transaction, by: Caller, id: str, user_id: str) -> None:
    """The user is not in the group any more."""
    versions.change(tx)
    if not has(tx, id, user_id):
        raise Missing(kind="user in group", id=f"{user_id} in {id}")
    rows.drop(tx, memberships, group_id=id, user_id=user_id)
    versions.note(tx, by, "left", "group", id, user=user_id)


def has(tx: Transaction, id: str, user_id: str) -> bool:
    """Whether the user is in the group; `Missing` when either is not there."""
    rows.get(tx, groups, id)
    rows.get(tx, users, user_id)
    return tx.one(select(memberships).where(memberships.c.group_id == id, memberships.c.user_id == user_id)) is not None


def of_user(tx: Transaction, user_id: str) -> list[Row]:
    """The groups that the user is in."""
    mine = select(memberships.c.group_id).where(memberships.c.user_id == user_id)
    return list(tx.all(select(groups).where(groups.c.id.in_(mine)).order_by(groups.c.name)))


def users_of(tx: Transaction, id: str) -> list[Row]:
    """The users in the group."""
    inside = select(memberships.c.user_id).where(memberships.c.group_id == id)
    return list(tx.all(select(users).where(users.c.id.in_(inside)).order_by(users.c.name)))
