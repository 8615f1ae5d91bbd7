"""Role assignments as they are listed: as they were made, or (effective) as they work for each user and project."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import select

from moorage.database import Transaction
from moorage.identity import role, tree
from moorage.identity.claims import Scope
from moorage.identity.records import assignments, memberships

MOST = 10_000  #: assignments that are looked at, and that are listed

_ORDER = ("target_kind", "target_id", "actor_id", "role_id")


@dataclass(frozen=True)
class Effect:
    """A role of a user or group in a scope, and where it comes from."""

    actor_kind: str
    actor_id: str
    scope: Scope
    role_id: str
    inherited: bool = False
    through_group: str | None = None  #: the group that the user has it by
    given_on: Scope | None = None  #: where it was given, when it is inherited
    prior_role: str | None = None  #: the role that implies it


@dataclass(frozen=True)
class Wanted:
    """Which assignments are asked for. None: any."""

    user_id: str | None = None
    group_id: str | None = None
    role_id: str | None = None
    scope: Scope | None = None
    inherited: bool | None = None
    project_ids: frozenset[str] | None = None  #: any of these projects

    def takes(self, effect: Effect) -> bool:
        """Whether this is one of them."""
        named = {"user": self.user_id, "group": self.group_id}
        other = {"user": self.group_id, "group": self.user_id}[effect.actor_kind]
        return (
            named[effect.actor_kind] in (None, effect.actor_id)
            and other is None
            and self.role_id in (None, effect.role_id)
            and self.scope in (None, effect.scope)
            and self.inherited in (None, effect.inherited)
            and (self.project_ids is None or (effect.scope.kind == "project" and effect.scope.id in self.project_ids))
        )


def made(tx: Transaction, wanted: Wanted) -> list[Effect]:
    """The assignments as they were made."""
    return [effect for effect in _all(tx, wanted) if wanted.takes(effect)]


def working(tx: Transaction, wanted: Wanted) -> list[Effect]:
    """What the assignments amount to: groups become their users, inheritance projects, roles what they imply."""
    implied = role.graph(tx)
    found: dict[Effect, None] = {}
    for effect in _all(tx):
        for user in _users(tx, effect):
            for landed in _projects(tx, user):
                for one in _implied(implied, landed):
                    if wanted.takes(one):
                        found[one] = None
                        if len(found) > MOST:
                            return list(found)
    return list(found)


def _all(tx: Transaction, wanted: Wanted | None = None) -> list[Effect]:
    """The assignments as they were made; only those that may be wanted, where that can be said of a row."""
    query = select(assignments).order_by(*(assignments.c[name] for name in _ORDER))
    if wanted is not None:
        actor = wanted.user_id or wanted.group_id
        query = query if actor is None else query.where(assignments.c.actor_id == actor)
        query = query if wanted.role_id is None else query.where(assignments.c.role_id == wanted.role_id)
        query = query if wanted.scope is None else query.where(assignments.c.target_id == wanted.scope.id)
    return [
        Effect(a["actor_kind"], a["actor_id"], Scope(a["target_kind"], a["target_id"]), a["role_id"], a["inherited"])
        for a in tx.all(query.limit(MOST + 1))
    ]


def _users(tx: Transaction, effect: Effect) -> Iterator[Effect]:
    if effect.actor_kind == "user":
        yield effect
        return
    for row in tx.all(select(memberships.c.user_id).where(memberships.c.group_id == effect.actor_id)):
        yield replace(effect, actor_kind="user", actor_id=row["user_id"], through_group=effect.actor_id)


def _projects(tx: Transaction, effect: Effect) -> Iterator[Effect]:
    if not effect.inherited:
        yield effect
        return
    below = tree.below(tx, effect.scope)
    for id in sorted(below):
        yield replace(effect, scope=Scope("project", id), inherited=False, given_on=effect.scope)


def _implied(implied: Mapping[str, set[str]], effect: Effect) -> Iterator[Effect]:
    yield effect
    seen, waiting = {effect.role_id}, [effect.role_id]
    while waiting:
        prior = waiting.pop()
        for id in sorted(implied.get(prior, set()) - seen):
            seen.add(id)
            waiting.append(id)
            yield replace(effect, role_id=id, prior_role=prior)
