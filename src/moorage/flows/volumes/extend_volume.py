"""Extend a volume that is not attached."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update

from moorage.core.errors import Conflict
from moorage.database import Transaction
from moorage.flows.volumes.volume_layers import GIB, backend_of, volume_of
from moorage.operations import events
from moorage.operations.flow import Flow, Step, Work
from moorage.operations.records import State
from moorage.volumes import layers, quota, status
from moorage.volumes.records import layers as layer_rows
from moorage.volumes.records import volumes


def extend(work: Work) -> None:
    """The volume's head is longer, and its row says so. A layer is never cut: a longer one is harmless until then."""
    row = volume_of(work)
    if row["head"] is None:
        raise Conflict(reason=f"Volume {work.resource_id} has no data.")
    size = work.input["size_gib"] * GIB
    with work.rooms.database.read() as tx:
        head = layers.chain(tx, row["head"])
    backend_of(work).extend(head, size)
    with work.transaction() as tx:
        tx.lock(volumes, [work.resource_id])
        tx.run(update(layer_rows).where(layer_rows.c.id == head.name).values(size_bytes=size))
        size_gib = work.input["size_gib"]
        if tx.run(update(volumes).where(volumes.c.id == work.resource_id).values(size_gib=size_gib)):
            events.record(tx, "volume.extended", "volume", work.resource_id, work.project_id, size_gib=size_gib)


def settle(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """What was charged for the longer volume is given back where it did not become longer."""
    id, asked = operation["resource_id"], operation["input"]
    row = tx.one(select(volumes).where(volumes.c.id == id))
    if row is None:
        return
    quota.lock(tx, row["project_id"])
    row = tx.lock(volumes, [id])[0]
    if operation["state"] == State.UNDONE and row["size_gib"] < asked["size_gib"]:
        quota.release(tx, row["project_id"], row["type_id"], count=0, gigabytes=asked["more_gib"])
    status.evaluate(tx, id)


EXTEND_VOLUME = Flow("extend-volume", (Step("extend", extend),), settle=settle)
