"""Whom or what a request means: by id, or by name and domain. None where nothing is meant."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table

from moorage.database import Transaction
from moorage.database.transaction import Row
from moorage.identity import rows
from moorage.identity.records import domains, projects, users


def domain(tx: Transaction, who: Mapping[str, Any]) -> Row | None:
    """The domain."""
    if who.get("id"):
        return rows.find(tx, domains, who["id"])
    return rows.named(tx, domains, who["name"]) if who.get("name") else None


def project(tx: Transaction, who: Mapping[str, Any]) -> Row | None:
    """The project."""
    return _within(tx, projects, who)


def user(tx: Transaction, who: Mapping[str, Any]) -> Row | None:
    """The user."""
    return _within(tx, users, who)


def _within(tx: Transaction, table: Table, who: Mapping[str, Any]) -> Row | None:
    if who.get("id"):
        return rows.find(tx, table, who["id"])
    home = domain(tx, who.get("domain") or {})
    return rows.named(tx, table, who["name"], home["id"]) if home is not None and who.get("name") else None
