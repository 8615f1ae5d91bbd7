"""
Where a token's bearer stands now: what the claims mean by today's rows.

A token proves nothing that the rows do not bear out at the moment of its use: a user, project or domain that was
disabled, a role or an application credential that was taken away, a changed password: the next request feels it.
"""

from dataclasses import dataclass, field

from sqlalchemy import select

from moorage.core.caller import Caller
from moorage.core.errors import Unauthenticated
from moorage.database import Transaction
from moorage.database.transaction import Row
from moorage.identity import assignment, role, rows
from moorage.identity.claims import Claims, shown
from moorage.identity.records import application_credentials, domains, projects, revocations, users


@dataclass(frozen=True)
class Standing:
    """A valid token's claims and the rows that they name."""

    claims: Claims
    user: Row
    user_domain: Row
    project: Row | None  #: of a project scope
    domain: Row | None  #: of a domain scope, or the project's
    roles: tuple[Row, ...]
    credential: Row | None  #: the application credential that it was made with
    until: int  #: it is valid until then, unless something changes
    caller: Caller = field(repr=False)

    @property
    def is_service(self) -> bool:
        return "service" in self.caller.roles


def standing(tx: Transaction, claims: Claims, text: str) -> Standing:
    """Where the bearer of these claims stands, or `Unauthenticated`. Whether they are expired is not looked at."""
    user = rows.find(tx, users, claims.user_id)
    if user is None or not user["enabled"] or user["generation"] != claims.generation or _revoked(tx, claims):
        raise Unauthenticated()
    home = _enabled(rows.find(tx, domains, user["domain_id"]))
    project, domain = _target(tx, claims)
    credential, until = _credential(tx, claims)
    held = assignment.effective(tx, user["id"], claims.scope) if claims.scope.kind else frozenset()
    if credential is not None:
        held &= role.closure(tx, credential["role_ids"])
    if claims.scope.kind and not held:
        raise Unauthenticated()
    found = tuple(role.named(tx, held))
    caller = Caller(
        user_id=user["id"],
        user_name=user["name"],
        project_id=project["id"] if project else None,
        project_name=project["name"] if project else "",
        domain_id=claims.scope.id if claims.scope.kind == "domain" else None,
        system=claims.scope.kind == "system",
        roles=frozenset(row["name"] for row in found),
        token_id=text,
    )
    return Standing(claims, user, home, project, domain, found, credential, until, caller)


def _revoked(tx: Transaction, claims: Claims) -> bool:
    own = shown(claims.audit_ids[0])
    return tx.one(select(revocations.c.audit_id).where(revocations.c.audit_id == own)) is not None


def _target(tx: Transaction, claims: Claims) -> tuple[Row | None, Row | None]:
    """The project and the domain of the scope, all of them enabled."""
    if claims.scope.kind == "project":
        project = _enabled(rows.find(tx, projects, claims.scope.id))
        return project, _enabled(rows.find(tx, domains, project["domain_id"]))
    if claims.scope.kind == "domain":
        return None, _enabled(rows.find(tx, domains, claims.scope.id))
    return None, None


def _credential(tx: Transaction, claims: Claims) -> tuple[Row | None, int]:
    """The application credential behind the token, if it is one's, and until when the token is good."""
    if claims.application_credential_id is None:
        return None, claims.expires_at
    found = rows.find(tx, application_credentials, claims.application_credential_id)
    if found is None:
        raise Unauthenticated()
    return found, min(claims.expires_at, found["expires_at"] or claims.expires_at)


def _enabled(row: Row | None) -> Row:
    if row is None or not row["enabled"]:
        raise Unauthenticated()
    return row
