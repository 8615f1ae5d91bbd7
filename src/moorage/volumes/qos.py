"""
Quality of service: named sets of limits that volume types refer to. They are kept and shown; no backend enforces them
yet.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from moorage.core.errors import Blocker, Refused
from moorage.core.ids import new_uuid
from moorage.database import Transaction
from moorage.operations import events
from moorage.volumes.errors import QosExists, QosNotFound
from moorage.volumes.records import qos_specs, volume_types


class QosInUse(Refused):
    """Qos specs still in use."""

    code = "qos.in-use"


class QosKeyNotFound(QosNotFound):
    """QoS spec {id} has no spec with key {key}."""

    code = "qos.key-not-found"


def find(tx: Transaction, id: str) -> Mapping[str, Any]:
    """The set's row."""
    row = tx.one(select(qos_specs).where(qos_specs.c.id == id))
    if row is None:
        raise QosNotFound(id=id[:255])
    return row


def locked(tx: Transaction, id: str) -> Mapping[str, Any]:
    """The set's row, nobody else changing it."""
    found = tx.lock(qos_specs, [id])
    if not found:
        raise QosNotFound(id=id[:255])
    return found[0]


def create(tx: Transaction, name: str, consumer: str, specs: Mapping[str, str]) -> Mapping[str, Any]:
    """Make a set."""
    other = tx.value(select(qos_specs.c.id).where(qos_specs.c.name == name))
    if other is not None:
        raise QosExists(name=name, blockers=(Blocker("qos", other),))
    id = new_uuid()
    try:
        tx.run(insert(qos_specs).values(id=id, name=name, consumer=consumer, specs=dict(specs), created_at=tx.now))
    except IntegrityError:
        raise QosExists(name=name) from None
    events.record(tx, "qos.created", "qos", id, None, name=name)
    return find(tx, id)


def change(tx: Transaction, row: Mapping[str, Any], consumer: str | None, specs: Mapping[str, str]) -> None:
    """Let the locked set `row` have these limits, too."""
    values = {"specs": {**row["specs"], **specs}, "consumer": consumer or row["consumer"]}
    tx.run(update(qos_specs).where(qos_specs.c.id == row["id"]).values(**values))
    events.record(tx, "qos.changed", "qos", row["id"], None, changed=sorted(specs))


def drop(tx: Transaction, row: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Let the locked set `row` not have these limits."""
    for key in keys:
        if key not in row["specs"]:
            raise QosKeyNotFound(id=row["id"], key=key[:255])
    left = {key: value for key, value in row["specs"].items() if key not in keys}
    tx.run(update(qos_specs).where(qos_specs.c.id == row["id"]).values(specs=left))
    events.record(tx, "qos.changed", "qos", row["id"], None, changed=sorted(keys))


def users(tx: Transaction, id: str) -> Sequence[Mapping[str, Any]]:
    """The types that refer to the set."""
    c = volume_types.c
    return tx.all(select(c.id, c.name).where(c.qos_id == id).order_by(c.created_at, c.id))


def remove(tx: Transaction, row: Mapping[str, Any], *, force: bool) -> None:
    """Remove the locked set `row`; with `force`, also where types refer to it."""
    if (using := users(tx, row["id"])) and not force:
        raise QosInUse(blockers=tuple(Blocker("volume-type", one["id"]) for one in using))
    release(tx, row["id"])
    tx.run(delete(qos_specs).where(qos_specs.c.id == row["id"]))
    events.record(tx, "qos.deleted", "qos", row["id"], None)


def release(tx: Transaction, id: str) -> None:
    """Let no type refer to the set."""
    c = volume_types.c
    for row in tx.all(update(volume_types).where(c.qos_id == id).values(qos_id=None).returning(c.id)):
        _told(tx, row["id"], None)


def refer(tx: Transaction, type_row: Mapping[str, Any], id: str) -> None:
    """Let the locked type refer to the set."""
    if type_row["qos_id"] not in (None, id):
        raise Refused(
            reason=f"Type {type_row['id']} is already associated with another qos specs: {type_row['qos_id']}",
            blockers=(Blocker("qos", type_row["qos_id"]),),
        )
    tx.run(update(volume_types).where(volume_types.c.id == type_row["id"]).values(qos_id=id))
    _told(tx, type_row["id"], id)


def part(tx: Transaction, type_row: Mapping[str, Any], id: str) -> None:
    """Let the locked type not refer to the set."""
    if type_row["qos_id"] == id:
        tx.run(update(volume_types).where(volume_types.c.id == type_row["id"]).values(qos_id=None))
        _told(tx, type_row["id"], None)


def _told(tx: Transaction, type_id: str, qos: str | None) -> None:
    events.record(tx, "volume-type.changed", "volume-type", type_id, None, changed=["qos_id"], qos=qos)
