"""
Assignments: a user or a group has a role on a project, a domain or the system, or (inherited) on all projects below.

What somebody may do is always worked out from these rows, when it matters: nothing keeps a copy.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, delete, insert, or_, select

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.database.transaction import Row
from moorage.identity import role, rows, tree, versions
from moorage.identity.claims import Scope
from moorage.identity.errors import Missing
from moorage.identity.records import assignments, domains, groups, memberships, projects, roles, users

SYSTEM = Scope("system", "all")

_TABLES = {"user": users, "group": groups, "project": projects, "domain": domains}


@dataclass(frozen=True)
class Assignment:
    """One assignment."""

    actor_kind: str  #: user or group
    actor_id: str
    target: Scope
    role_id: str
    inherited: bool = False

    @property
    def values(self) -> dict[str, Any]:
        return {
            "actor_kind": self.actor_kind,
            "actor_id": self.actor_id,
            "target_kind": self.target.kind,
            "target_id": self.target.id,
            "role_id": self.role_id,
            "inherited": self.inherited,
        }


def exists(tx: Transaction, wanted: Assignment) -> bool:
    """Whether the assignment is there; `Missing` when one of its parts is not."""
    must_make_sense(tx, wanted.actor_kind, wanted.actor_id, wanted.target)
    rows.get(tx, roles, wanted.role_id)
    return tx.one(_exactly(wanted)) is not None


def grant(tx: Transaction, by: Caller, wanted: Assignment) -> None:
    """The assignment is there."""
    versions.change(tx)
    if not exists(tx, wanted):
        tx.run(insert(assignments).values(**wanted.values))
        _note(tx, by, "granted", wanted)


def revoke(tx: Transaction, by: Caller, wanted: Assignment) -> None:
    """The assignment is gone."""
    versions.change(tx)
    if not exists(tx, wanted):
        raise Missing(kind="role assignment with role", id=wanted.role_id)
    tx.run(delete(assignments).where(*(assignments.c[name] == value for name, value in wanted.values.items())))
    _note(tx, by, "revoked", wanted)


def must_make_sense(tx: Transaction, actor_kind: str, actor_id: str, target: Scope) -> None:
    """Raise `Missing` unless actor and target are there."""
    if target.kind != "system":
        rows.get(tx, _TABLES[target.kind], target.id)
    rows.get(tx, _TABLES[actor_kind], actor_id)


def of_actor(tx: Transaction, actor_kind: str, actor_id: str, target: Scope, inherited: bool) -> list[Row]:
    """The roles that were given directly to this actor on this target."""
    query = (
        select(roles)
        .join(assignments, assignments.c.role_id == roles.c.id)
        .where(
            assignments.c.actor_kind == actor_kind,
            assignments.c.actor_id == actor_id,
            assignments.c.target_kind == target.kind,
            assignments.c.target_id == target.id,
            assignments.c.inherited == inherited,
        )
        .order_by(roles.c.name)
    )
    return list(tx.all(query))


def effective(tx: Transaction, user_id: str, scope: Scope) -> frozenset[str]:
    """The ids of all roles that the user has in this scope: directly, through groups, inherited, implied."""
    held = {row["role_id"] for row in tx.all(select(assignments.c.role_id).where(_of_user(user_id), _in(tx, scope)))}
    return role.closure(tx, held)


def reachable(tx: Transaction, user_id: str) -> tuple[set[str], set[str], bool]:
    """The projects and domains on which the user has any role, and whether he has one on the system."""
    mine = tx.all(select(assignments).where(_of_user(user_id)))
    found_domains = {a["target_id"] for a in mine if a["target_kind"] == "domain" and not a["inherited"]}
    found = {a["target_id"] for a in mine if a["target_kind"] == "project" and not a["inherited"]}
    for a in mine:
        if a["inherited"]:
            found |= tree.below(tx, Scope(a["target_kind"], a["target_id"]))
    return found, found_domains, any(a["target_kind"] == "system" for a in mine)


def forget(tx: Transaction, kind: str, id: str) -> None:
    """No assignment names this user, group, project, domain or role any more."""
    columns = {"user": "actor", "group": "actor", "project": "target", "domain": "target"}
    if kind == "role":
        tx.run(delete(assignments).where(assignments.c.role_id == id))
    else:
        side = columns[kind]
        tx.run(delete(assignments).where(assignments.c[f"{side}_kind"] == kind, assignments.c[f"{side}_id"] == id))


def _exactly(wanted: Assignment) -> Any:
    return select(assignments).where(*(assignments.c[name] == value for name, value in wanted.values.items()))


def _of_user(user_id: str) -> Any:
    mine = select(memberships.c.group_id).where(memberships.c.user_id == user_id)
    return or_(
        and_(assignments.c.actor_kind == "user", assignments.c.actor_id == user_id),
        and_(assignments.c.actor_kind == "group", assignments.c.actor_id.in_(mine)),
    )


def _in(tx: Transaction, scope: Scope) -> Any:
    at = and_(
        assignments.c.target_kind == scope.kind, assignments.c.target_id == scope.id, assignments.c.inherited.is_(False)
    )
    if scope.kind != "project":
        return at
    project = rows.get(tx, projects, scope.id)
    above = [row["id"] for row in tree.above(tx, scope.id)]
    inherited = or_(
        and_(assignments.c.target_kind == "domain", assignments.c.target_id == project["domain_id"]),
        and_(assignments.c.target_kind == "project", assignments.c.target_id.in_(above)),
    )
    return or_(at, and_(assignments.c.inherited.is_(True), inherited))


def _note(tx: Transaction, by: Caller, what: str, a: Assignment) -> None:
    project_id = a.target.id if a.target.kind == "project" else None
    versions.note(
        tx,
        by,
        what,
        "role",
        a.role_id,
        project_id,
        actor={a.actor_kind: a.actor_id},
        target={a.target.kind: a.target.id},
        inherited=a.inherited,
    )
