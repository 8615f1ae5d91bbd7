"""Users. A new password, or being disabled, ends all tokens of a user by his generation: exactly, at any second."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy import update as sql_update

from moorage.core.caller import Caller
from moorage.core.ids import new_hex
from moorage.database import Transaction
from moorage.database.transaction import Row
from moorage.identity import assignment, rows, versions
from moorage.identity.errors import Unfit
from moorage.identity.records import application_credentials, domains, memberships, projects, users


def create(tx: Transaction, by: Caller, asked: Mapping[str, Any], password: str | None) -> Row:
    """The user is there; `password` is the digest of his password, None if he has none."""
    versions.change(tx)
    domain_id = asked.get("domain_id") or by.domain_id or "default"
    rows.get(tx, domains, domain_id)
    rows.must_be_free(tx, users, asked["name"], domain_id)
    _may_be_default(tx, asked.get("default_project_id"))
    row = rows.add(
        tx,
        users,
        id=new_hex(),
        domain_id=domain_id,
        name=asked["name"],
        description=asked.get("description"),
        enabled=asked.get("enabled", True),
        default_project_id=asked.get("default_project_id"),
        password=password,
        generation=0,
        options=asked.get("options") or {},
        extra=asked.get("extra") or {},
        created_at=tx.now,
    )
    versions.note(tx, by, "created", "user", row["id"])
    return row


def update(tx: Transaction, by: Caller, id: str, asked: Mapping[str, Any], password: str | None) -> Row:
    """The user has the values that were asked for; `password` is the digest of a new password, None if it stays."""
    versions.change(tx)
    row = rows.get(tx, users, id)
    if asked.get("domain_id", row["domain_id"]) != row["domain_id"]:
        raise Unfit(reason="A user cannot move to another domain.")
    if "name" in asked:
        rows.must_be_free(tx, users, asked["name"], row["domain_id"], but=id)
    _may_be_default(tx, asked.get("default_project_id"))
    values = rows.merged(row, asked, "user", ("name", "description", "enabled", "default_project_id"))
    if password is not None:
        values["password"] = password
    if password is not None or (row["enabled"] and values.get("enabled") is False):
        values["generation"] = row["generation"] + 1
    row = rows.change(tx, users, id, values)
    versions.note(tx, by, "updated", "user", id, password_changed=password is not None)
    return row


def change_password(tx: Transaction, by: Caller, id: str, kept: str | None, password: str) -> None:
    """The password is the new one and all tokens are over, unless it is no longer the one that was checked (`kept`)."""
    versions.change(tx)
    row = rows.get(tx, users, id)
    if row["password"] != kept:
        raise Unfit(reason="The password was changed by somebody else meanwhile.")
    rows.change(tx, users, id, {"password": password, "generation": row["generation"] + 1})
    versions.note(tx, by, "updated", "user", id, password_changed=True)


def delete(tx: Transaction, by: Caller, id: str) -> None:
    """The user is gone, and what he was given."""
    versions.change(tx)
    rows.get(tx, users, id)
    remove(tx, by, id)


def remove(tx: Transaction, by: Caller, id: str) -> None:
    """The user's row is gone, and what names it here."""
    assignment.forget(tx, "user", id)
    rows.drop(tx, memberships, user_id=id)
    rows.drop(tx, application_credentials, user_id=id)
    rows.drop(tx, users, id=id)
    versions.note(tx, by, "deleted", "user", id)


def end_tokens(tx: Transaction, which: ColumnElement[bool]) -> None:
    """No token that these users have now is valid, whatever happens later."""
    tx.run(sql_update(users).where(which).values(generation=users.c.generation + 1))


def _may_be_default(tx: Transaction, project_id: str | None) -> None:
    if (
        project_id is not None
        and rows.find(tx, domains, project_id) is not None
        and rows.find(tx, projects, project_id) is None
    ):
        raise Unfit(reason="A domain cannot be a user's default project.")
