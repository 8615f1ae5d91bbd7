"""Layers whose bytes are no volume's own: what images have in a store, and copies of that."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update

from moorage.database import Transaction
from moorage.flows.images.clear import clear_if_forsaken
from moorage.flows.images.stores import store_of
from moorage.flows.volumes.volume_layers import backend_named
from moorage.images.locations import location
from moorage.operations.flow import Work
from moorage.volumes import copies, layers
from moorage.volumes.records import layers as layer_rows
from moorage.volumes.records import volumes

Row = Mapping[str, Any]


def goes_with_its_last_user(tx: Transaction, layer: Row) -> bool:
    """
    Whether nobody has the layer's bytes but those who lie on it. Asked before volumes are locked: it locks the image.
    """
    return layer["image_id"] is None or location.forsaken(tx, layer["store"], layer["id"])


def let_go(work: Work) -> None:
    """
    The volume needs what is below it no more, be it an image's bytes or a copy of them; these go if nobody else needs
    them.
    """
    with work.transaction() as tx:
        forsaken = _let_go(tx, work.resource_id)
    if forsaken is not None:
        erase(work, forsaken)
        with work.transaction() as tx:
            forget(tx, forsaken)
            tx.lock(volumes, [work.resource_id])
            v = volumes.c
            tx.run(update(volumes).where(v.id == work.resource_id, v.base == forsaken["id"]).values(base=None))
            layers.strike(tx, forsaken["id"])


def _let_go(tx: Transaction, volume_id: str) -> Mapping[str, Any] | None:
    """Take the base off the volume's row; or nothing yet, where its bytes are to go first: their layer."""
    row = tx.one(select(volumes).where(volumes.c.id == volume_id))
    base = row["base"] if row is not None else None
    if base is None:
        return None
    layer = layers.row_of(tx, base)
    forsaken = layer is not None and goes_with_its_last_user(tx, layer)
    tx.lock(volumes, [volume_id])
    tx.lock(layer_rows, [base])
    last = layers.users_of(tx, base) == 1
    if last and forsaken:
        copies.leave(tx, base)
        return layer
    tx.run(update(volumes).where(volumes.c.id == volume_id).values(base=None))
    if last:
        layers.strike(tx, base)
    return None


def erase(work: Work, layer: Row) -> None:
    """Leave no bytes of the layer."""
    if layer["image_id"] is not None:
        store_of(work.rooms, layer["store"]).delete(layer["id"])
    else:
        backend_named(work, layer["backend"]).delete(layer["id"])


def forget(tx: Transaction, layer: Row) -> None:
    """
    Take the layer, whose bytes are gone, off the rows that are not volumes' own. What a copy came from goes as well, if
    it was left for the copy's sake.
    """
    if layer["image_id"] is not None:
        location.forget(tx, layer["store"], layer["id"])
        return
    copy = copies.of(tx, layer["id"])
    if copy is not None:
        copies.strike(tx, layer["id"])
        clear_if_forsaken(tx, copy["store"], copy["object"])
