"""
What the object of an image lies on: the layers of a volume, which may be gone, down to where others need them.

Each of them has a row as long as its bytes are there. Which of its last users takes it along is decided under the lock
of its row, after the one above it is off the rows.
"""

from collections.abc import Sequence

from moorage.database import Transaction
from moorage.flows.volumes.stored_layers import erase, forget, goes_with_its_last_user
from moorage.images.locations import location
from moorage.operations.flow import Work
from moorage.volumes import copies, layers
from moorage.volumes.backend import Layer
from moorage.volumes.records import layers as layer_rows


def names(layer: Layer | None) -> list[str]:
    """The layer and all that shows through it, from the top."""
    return [] if layer is None else [layer.name, *names(layer.parent)]


def under(tx: Transaction, name: str) -> list[str]:
    """The layers that the object `name` lies on, from the top; these rows do not change as long as they are there."""
    layer = layers.row_of(tx, name)
    return names(layers.chain(tx, layer["parent"])) if layer is not None and layer["parent"] is not None else []


def of(tx: Transaction, image_id: str) -> list[str]:
    """The layers that the image's objects lie on; at most one of these shows what a volume held."""
    return [name for row in location.held(tx, image_id) for name in under(tx, row["object"])]


def clear(work: Work, chain: Sequence[str]) -> None:
    """Of these layers, from the top, none is left that nobody needs; the first that somebody needs keeps the rest."""
    for name in chain:
        with work.transaction() as tx:
            row = layers.row_of(tx, name)
            if row is None:
                continue
            free = goes_with_its_last_user(tx, row)
            tx.lock(layer_rows, [name])
            if layers.users_of(tx, name):
                return
            copies.leave(tx, name)
            if not free:
                if row["parent"] is None:
                    layers.strike(tx, name)  # the image keeps its object; nothing lies on it any more
                return
        erase(work, row)
        with work.transaction() as tx:
            forget(tx, row)
            layers.strike(tx, name)
