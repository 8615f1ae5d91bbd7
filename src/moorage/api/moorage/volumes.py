"""Volumes: how their bytes came to be, and (for administrators) what they lie on."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from moorage.api.request import Answer, Request
from moorage.api.views import moment
from moorage.database import Transaction
from moorage.volumes import copies, layers, volume
from moorage.volumes.records import layers as rows


def show(request: Request) -> Answer:
    """One volume."""
    with request.read() as tx:
        row = volume.find(tx, request.caller, request.params["id"])
        plain = (
            "id",
            "project_id",
            "name",
            "size_gib",
            "status",
            "multiattach",
            "cache",
            "image_id",
            "source_volid",
            "made",
        )
        body: dict[str, Any] = {name: row[name] for name in plain}
        body |= {"created_at": moment(row["created_at"]), "updated_at": moment(row["updated_at"])}
        body["copy"] = _copy(tx, row)
        if request.caller.is_admin:
            body |= {"backend": row["backend"], "host": row["host"], "layers": _chain(tx, row["head"])}
    return Answer(body={"volume": body})


def _copy(tx: Transaction, row: Mapping[str, Any]) -> dict[str, Any] | None:
    """How far the copy of its image has come that the volume lies on; None: it lies on none."""
    found = copies.below(tx, row["head"] or row["base"])
    if found is None:
        return None
    kept = {name: found[name] for name in ("state", "image_id", "store", "size_bytes", "bytes_there", "trouble")}
    return {**kept, "whole_at": moment(found["whole_at"]) if found["whole_at"] else None}


def _chain(tx: Transaction, name: str | None) -> list[dict[str, Any]]:
    """What the volume's bytes are made of, from the head down."""
    found: list[dict[str, Any]] = []
    while name is not None and len(found) < layers.LONGEST_CHAIN:
        row = tx.one(select(rows).where(rows.c.id == name))
        if row is None:
            found.append({"name": name, "missing": True})
            break
        kept = {"name": name, "format": row["format"], "size_bytes": row["size_bytes"], "image_id": row["image_id"]}
        found.append({**kept, "users": layers.users_of(tx, name)})
        name = row["parent"]
    return found
