"""Services of the catalog."""

from collections.abc import Mapping
from typing import Any

from moorage.core.caller import Caller
from moorage.core.ids import new_hex
from moorage.database import Transaction
from moorage.database.transaction import Row
from moorage.identity import rows, versions
from moorage.identity.records import endpoints, services

_FIELDS = ("type", "name", "description", "enabled")


def create(tx: Transaction, by: Caller, asked: Mapping[str, Any]) -> Row:
    """The service is in the catalog; it has no endpoints yet."""
    versions.change(tx)
    values = {name: asked.get(name) for name in _FIELDS} | {"enabled": asked.get("enabled", True)}
    row = rows.add(tx, services, id=new_hex(), created_at=tx.now, **values)
    versions.note(tx, by, "created", "service", row["id"])
    return row


def update(tx: Transaction, by: Caller, id: str, asked: Mapping[str, Any]) -> Row:
    """The service has the values that were asked for."""
    versions.change(tx)
    rows.get(tx, services, id)
    row = rows.change(tx, services, id, {name: asked[name] for name in _FIELDS if name in asked})
    versions.note(tx, by, "updated", "service", id)
    return row


def delete(tx: Transaction, by: Caller, id: str) -> None:
    """The service is gone, and its endpoints. What Moorage serves itself comes back at the next start."""
    versions.change(tx)
    rows.get(tx, services, id)
    rows.drop(tx, endpoints, service_id=id)
    rows.drop(tx, services, id=id)
    versions.note(tx, by, "deleted", "service", id)
