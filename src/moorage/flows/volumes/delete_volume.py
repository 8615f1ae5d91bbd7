"""
Delete a volume: its head, then each layer below that nobody else needs, then its row.

The layer that is being deleted is always the volume's head, so that a run that starts again goes on where the last
one stopped.  Whether the one below is still needed is decided under its lock, in the transaction in which the one
above it goes.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import update

from moorage.database import Transaction
from moorage.flows.volumes.stored_layers import erase, forget, goes_with_its_last_user
from moorage.flows.volumes.volume_layers import backend_of
from moorage.operations.flow import Flow, Step, Work
from moorage.operations.records import State
from moorage.volumes import copies, layers, status, volume
from moorage.volumes.records import layers as layer_rows
from moorage.volumes.records import volumes


def clear(work: Work) -> None:
    """Nothing is left of a server that the volume once had."""
    backend_of(work).clear(work.resource_id)


def remove(work: Work) -> Mapping[str, Any]:
    """The volume has no bytes any more; layers that others need are as they were."""
    count = 0
    while True:
        with work.transaction() as tx:
            top = _top(tx, work.resource_id)
        if top is None:
            return {"layers": count}
        erase(work, top)
        with work.transaction() as tx:
            forget(tx, top)
            _go_down(tx, work.resource_id, top["parent"], gone=top["id"])
        count += 1


def _top(tx: Transaction, volume_id: str) -> Mapping[str, Any] | None:
    """The layer that is the volume's to delete next."""
    row = tx.one(volumes.select().where(volumes.c.id == volume_id))
    if row is not None and row["head"] is None and row["base"] is not None:
        _go_down(tx, volume_id, row["base"], gone=None)
        row = tx.one(volumes.select().where(volumes.c.id == volume_id))
    return layers.row_of(tx, row["head"]) if row is not None and row["head"] is not None else None


def _go_down(tx: Transaction, volume_id: str, below: str | None, *, gone: str | None) -> None:
    """Let the volume have the layer `below` if nobody else needs it; `gone` is deleted."""
    layer = layers.row_of(tx, below) if below is not None else None
    ours = layer is not None and goes_with_its_last_user(tx, layer)
    tx.lock(volumes, [volume_id])
    if below is not None:
        tx.lock(layer_rows, [below])
    if gone is not None:
        layers.strike(tx, gone)
    change = update(volumes).where(volumes.c.id == volume_id)
    tx.run(change.values(head=None, base=None))
    if layer is None or below is None or layers.users_of(tx, below):
        return
    if ours:
        copies.leave(tx, below)
        tx.run(change.values(head=below))
    elif layer["parent"] is None:
        layers.strike(tx, below)  # the image keeps its object; no volume lies on it any more


def gone(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """The volume's row goes in the transaction that ends its deletion."""
    if operation["state"] == State.DONE:
        volume.gone(tx, operation["resource_id"])
    else:
        tx.lock(volumes, [operation["resource_id"]])
        status.evaluate(tx, operation["resource_id"])


DELETE_VOLUME = Flow(
    "delete-volume",
    (Step("clear", clear, forward_only=True), Step("remove", remove, forward_only=True)),
    settle=gone,
)
