"""Regions of the catalog."""

from collections.abc import Mapping
from typing import Any

from moorage.core.caller import Caller
from moorage.core.ids import new_hex
from moorage.database import Transaction
from moorage.database.transaction import Row
from moorage.identity import rows, versions
from moorage.identity.errors import InUse, Taken, Unfit
from moorage.identity.records import endpoints, regions


def create(tx: Transaction, by: Caller, asked: Mapping[str, Any]) -> Row:
    """The region is there, under the id that was asked for or a fresh one."""
    versions.change(tx)
    id = asked.get("id") or new_hex()
    if rows.find(tx, regions, id) is not None:
        raise Taken(kind="region", reason=f"Duplicate ID, {id}")
    parent = _parent(tx, id, asked)
    row = rows.add(tx, regions, id=id, parent_region_id=parent, description=asked.get("description") or "")
    versions.note(tx, by, "created", "region", id[:64])
    return row


def update(tx: Transaction, by: Caller, id: str, asked: Mapping[str, Any]) -> Row:
    """The region has the values that were asked for."""
    versions.change(tx)
    rows.get(tx, regions, id)
    values: dict[str, Any] = {}
    if "description" in asked:
        values["description"] = asked["description"] or ""
    if "parent_region_id" in asked:
        values["parent_region_id"] = _parent(tx, id, asked)
    row = rows.change(tx, regions, id, values)
    versions.note(tx, by, "updated", "region", id[:64])
    return row


def delete(tx: Transaction, by: Caller, id: str) -> None:
    """The region is gone. It must be empty."""
    versions.change(tx)
    rows.get(tx, regions, id)
    if rows.listed(tx, endpoints, region_id=id):
        raise InUse(kind="Region", id=id, reason="endpoints are in it")
    if rows.listed(tx, regions, parent_region_id=id):
        raise InUse(kind="Region", id=id, reason="other regions are in it")
    rows.drop(tx, regions, id=id)
    versions.note(tx, by, "deleted", "region", id[:64])


def _parent(tx: Transaction, id: str, asked: Mapping[str, Any]) -> str | None:
    """The parent that was asked for; it must be there, and must not be in the region itself."""
    parent: str | None = asked.get("parent_region_id")
    above = parent
    while above:
        if above == id:
            raise Unfit(reason=f"Region {id} would be inside itself.")
        above = rows.get(tx, regions, above)["parent_region_id"]
    return parent or None
