"""Layers whose bytes are no volume's own: what images have in a store, and copies of that."""

from collections.abc import Mapping
from typing import Any

from moorage.database import Transaction
from moorage.flows.images.clear import clear_if_forsaken
from moorage.flows.images.stores import store_of
from moorage.flows.volumes.volume_layers import backend_named
from moorage.images.locations import location
from moorage.operations.flow import Work
from moorage.volumes import copies

Row = Mapping[str, Any]


def goes_with_its_last_user(tx: Transaction, layer: Row) -> bool:
    """
    Whether nobody has the layer's bytes but those who lie on it. Asked before volumes are locked: it locks the image.
    """
    return layer["image_id"] is None or location.forsaken(tx, layer["store"], layer["id"])


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
