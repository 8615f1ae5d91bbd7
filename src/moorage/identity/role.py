"""Roles, and which of them imply which."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import delete as sql_delete
from sqlalchemy import insert, or_, select

from moorage.core.caller import Caller
from moorage.core.ids import new_hex
from moorage.database import Transaction
from moorage.database.transaction import Row
from moorage.identity import rows, versions
from moorage.identity.errors import Circular, Immutable, Missing, Unfit
from moorage.identity.records import assignments, implications, roles


def create(tx: Transaction, by: Caller, asked: Mapping[str, Any]) -> Row:
    """The role is there, under a name of its own."""
    versions.change(tx)
    if asked.get("domain_id") is not None:
        raise Unfit(reason="Roles that belong to a domain are not supported: leave domain_id out.")
    rows.must_be_free(tx, roles, asked["name"])
    row = rows.add(
        tx,
        roles,
        id=new_hex(),
        name=asked["name"],
        description=asked.get("description"),
        options=asked.get("options") or {},
        created_at=tx.now,
    )
    versions.note(tx, by, "created", "role", row["id"])
    return row


def update(tx: Transaction, by: Caller, id: str, asked: Mapping[str, Any]) -> Row:
    """The role has the values that were asked for."""
    versions.change(tx)
    row = rows.get(tx, roles, id)
    if "name" in asked:
        rows.must_be_free(tx, roles, asked["name"], but=id)
    row = rows.change(tx, roles, id, rows.merged(row, asked, "role", ("name", "description")))
    versions.note(tx, by, "updated", "role", id)
    return row


def delete(tx: Transaction, by: Caller, id: str) -> None:
    """The role is gone, and with it every assignment and implication of it."""
    versions.change(tx)
    row = rows.get(tx, roles, id)
    if row["options"].get("immutable"):
        raise Immutable(kind="role", id=id)
    tx.run(sql_delete(assignments).where(assignments.c.role_id == id))
    tx.run(sql_delete(implications).where(or_(implications.c.prior_id == id, implications.c.implied_id == id)))
    rows.drop(tx, roles, id=id)
    versions.note(tx, by, "deleted", "role", id)


def imply(tx: Transaction, by: Caller, prior_id: str, implied_id: str) -> None:
    """Whoever has the prior role has the implied one as well."""
    versions.change(tx)
    prior, implied = rows.get(tx, roles, prior_id), rows.get(tx, roles, implied_id)
    if prior_id in closure(tx, {implied_id}):
        raise Circular(prior=prior["name"], implied=implied["name"], reason="the latter implies the former")
    if implied["name"] == "admin":
        raise Circular(prior=prior["name"], implied="admin", reason="nothing may imply it")
    if not implies(tx, prior_id, implied_id):
        tx.run(insert(implications).values(prior_id=prior_id, implied_id=implied_id))
        versions.note(tx, by, "implied", "role", prior_id, implied=implied_id)


def imply_no_more(tx: Transaction, by: Caller, prior_id: str, implied_id: str) -> None:
    """The prior role does not imply the other one any more."""
    versions.change(tx)
    if not rows.drop(tx, implications, prior_id=prior_id, implied_id=implied_id):
        raise Missing(kind="role inference rule", id=f"{prior_id} implies {implied_id}")
    versions.note(tx, by, "unimplied", "role", prior_id, implied=implied_id)


def implies(tx: Transaction, prior_id: str, implied_id: str) -> bool:
    """Whether the prior role implies the other one, directly."""
    return implied_id in graph(tx).get(prior_id, set())


def graph(tx: Transaction) -> Mapping[str, set[str]]:
    """For each role that implies others: which ones, directly."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in tx.all(select(implications)):
        found[row["prior_id"]].add(row["implied_id"])
    return found


def closure(tx: Transaction, ids: Iterable[str]) -> frozenset[str]:
    """These roles and all that they imply."""
    found, waiting = set(), set(ids)
    implied = graph(tx) if waiting else {}
    while waiting:
        id = waiting.pop()
        found.add(id)
        waiting |= implied.get(id, set()) - found
    return frozenset(found)


def named(tx: Transaction, ids: Iterable[str]) -> list[Row]:
    """The rows of these roles, by name."""
    wanted = list(ids)
    return list(tx.all(select(roles).where(roles.c.id.in_(wanted)).order_by(roles.c.name))) if wanted else []
