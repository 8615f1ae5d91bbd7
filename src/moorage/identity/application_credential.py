"""
Application credentials: a user's permission for a program, on one project, with some of his roles.

A secret that we make has 256 random bits and is kept as a SHA-256; one that a client chose is kept like a password.
Either is shown once.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Forbidden
from moorage.core.ids import new_hex
from moorage.database import Transaction
from moorage.database.transaction import Row
from moorage.identity import assignment, passwords, role, rows, versions
from moorage.identity.claims import Scope
from moorage.identity.errors import Missing, Taken, Unfit
from moorage.identity.login import fast_digest
from moorage.identity.records import application_credentials, roles, users
from moorage.identity.standing import Standing


@dataclass(frozen=True)
class Secret:
    """A secret, and what is kept of it."""

    shown: str = field(repr=False)
    kept: str = field(repr=False)


def secret(chosen: str | None) -> Secret:
    """The secret that the client chose, or a fresh one. The former is slow."""
    if chosen is not None:
        return Secret(chosen, passwords.digest(chosen))
    made = secrets.token_urlsafe(32)
    return Secret(made, fast_digest(made))


def create(tx: Transaction, found: Standing, by: Caller, asked: Mapping[str, Any], made: Secret) -> Row:
    """The bearer of the token has this application credential on the token's project."""
    versions.change(tx)
    must_be_unrestricted(found, "identity:create_application_credential")
    user_id, project_id = found.user["id"], by.project_id
    rows.get(tx, users, user_id)
    if project_id is None:
        raise Unfit(reason="An application credential is for a project: log in to one first.")
    if asked.get("expires_at") is not None and asked["expires_at"] <= tx.now:
        raise Unfit(reason="expires_at is in the past.")
    if rows.listed(tx, application_credentials, user_id=user_id, name=asked["name"]):
        raise Taken(kind="application_credential", reason=f"Duplicate entry found with name {asked['name']}")
    row = rows.add(
        tx,
        application_credentials,
        id=new_hex(),
        user_id=user_id,
        project_id=project_id,
        name=asked["name"],
        description=asked.get("description"),
        secret=made.kept,
        role_ids=_roles(tx, user_id, project_id, asked.get("roles") or [], found),
        unrestricted=bool(asked.get("unrestricted")),
        expires_at=asked.get("expires_at"),
        created_at=tx.now,
    )
    versions.note(tx, by, "created", "application_credential", row["id"], project_id)
    return row


def delete(tx: Transaction, found: Standing | None, by: Caller, user_id: str, id: str) -> None:
    """The application credential is gone, and all tokens made with it are over."""
    versions.change(tx)
    must_be_unrestricted(found, "identity:delete_application_credential")
    row = get(tx, user_id, id)
    rows.drop(tx, application_credentials, id=id)
    versions.note(tx, by, "deleted", "application_credential", id, row["project_id"])


def get(tx: Transaction, user_id: str, id: str) -> Row:
    """The user's application credential with this id, or `Missing`."""
    row = rows.find(tx, application_credentials, id)
    if row is None or row["user_id"] != user_id:
        raise Missing(kind="Application Credential", id=id[:64])
    return row


def of_user(tx: Transaction, user_id: str, name: str | None = None) -> list[Row]:
    """The user's application credentials."""
    return rows.listed(tx, application_credentials, user_id=user_id, name=name)


def roles_of(tx: Transaction, row: Row) -> list[Row]:
    """The roles that it gives, while its user has them."""
    return role.named(tx, row["role_ids"])


def must_be_unrestricted(found: Standing | None, action: str) -> None:
    """Raise `Forbidden` for a token of an application credential that may not make or delete others."""
    if found is not None and found.credential is not None and not found.credential["unrestricted"]:
        raise Forbidden(action=action)


def _roles(
    tx: Transaction, user_id: str, project_id: str, asked: Iterable[Mapping[str, Any]], found: Standing
) -> list[str]:
    """The ids of the roles asked for and all they imply; of all that the token has, where none is named."""
    held = assignment.effective(tx, user_id, Scope("project", project_id)) & {row["id"] for row in found.roles}
    wanted = set()
    for one in asked:
        row = rows.find(tx, roles, one["id"]) if "id" in one else rows.named(tx, roles, one["name"])
        if row is None or row["id"] not in held:
            raise Unfit(reason="Cannot create an application credential with a role that its user does not have.")
        wanted.add(row["id"])
    return sorted(role.closure(tx, wanted) & held) if wanted else sorted(held)
