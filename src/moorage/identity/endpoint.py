"""Endpoints of the catalog: where a service is."""

from collections.abc import Mapping
from typing import Any

from moorage.core.caller import Caller
from moorage.core.ids import new_hex
from moorage.database import Transaction
from moorage.database.transaction import Row
from moorage.identity import rows, versions
from moorage.identity.errors import Unfit
from moorage.identity.records import endpoints, regions, services

_FIELDS = ("service_id", "interface", "url", "name", "enabled")


def create(tx: Transaction, by: Caller, asked: Mapping[str, Any]) -> Row:
    """The endpoint is in the catalog."""
    versions.change(tx)
    values = {"name": None, "enabled": True, "region_id": None, **_values(tx, asked)}
    row = rows.add(tx, endpoints, id=new_hex(), created_at=tx.now, **values)
    versions.note(tx, by, "created", "endpoint", row["id"])
    return row


def update(tx: Transaction, by: Caller, id: str, asked: Mapping[str, Any]) -> Row:
    """The endpoint has the values that were asked for."""
    versions.change(tx)
    rows.get(tx, endpoints, id)
    row = rows.change(tx, endpoints, id, _values(tx, asked))
    versions.note(tx, by, "updated", "endpoint", id)
    return row


def delete(tx: Transaction, by: Caller, id: str) -> None:
    """The endpoint is gone."""
    versions.change(tx)
    rows.get(tx, endpoints, id)
    rows.drop(tx, endpoints, id=id)
    versions.note(tx, by, "deleted", "endpoint", id)


def _values(tx: Transaction, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that were asked for; the service and the region that they name are there."""
    values = {name: asked[name] for name in _FIELDS if name in asked}
    if "region_id" in asked or "region" in asked:
        values["region_id"] = asked.get("region_id") or asked.get("region") or None
    if "service_id" in values and rows.find(tx, services, values["service_id"]) is None:
        raise Unfit(reason=f"There is no service {values['service_id']}.")
    if values.get("region_id") and rows.find(tx, regions, values["region_id"]) is None:
        raise Unfit(reason=f"There is no region {values['region_id']}.")
    return values
