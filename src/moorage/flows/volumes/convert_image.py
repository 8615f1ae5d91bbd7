"""
Make a volume from an image that no volume can lie on: its bytes are converted into a head of the volume's own.

The image's object is the volume's base until the head is there, so that its deletion leaves the bytes to the volume
meanwhile.  Of many conversions only a few are done at once; the rest is parked, and keeps no thread from attachments.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update

from moorage.core.errors import Conflict
from moorage.database import Transaction
from moorage.flows.turns import turn
from moorage.flows.volumes import hydrate_copy
from moorage.flows.volumes.stored_layers import erase, forget, goes_with_its_last_user
from moorage.flows.volumes.volume_ends import INSTEAD, made
from moorage.flows.volumes.volume_layers import GIB, backend_of, give_head, sweep, take_back_head, volume_of
from moorage.operations.flow import After, Flow, Step, Work
from moorage.volumes import copies, layers
from moorage.volumes.backend import Foreign, Format, Layer
from moorage.volumes.records import layers as layer_rows
from moorage.volumes.records import volumes

KIND = "volume-from-conversion"


def convert(work: Work) -> Mapping[str, Any] | After:
    """The image's disk is in a raw file of the volume, which no row names yet."""
    row = volume_of(work)
    if row["head"] is not None:
        return {"layer": row["head"], "bytes": 0}
    if row["base"] is None:
        raise Conflict(reason=f"The image of volume {work.resource_id} is gone.")
    first = turn(work, KIND) or hydrate_copy.awaited(work, row["base"])
    if first is not None:
        return first
    sweep(work)
    layer = Layer(f"volumes/{work.resource_id}/{work.tag}", Format.RAW, work.input["size_gib"] * GIB)
    moved = backend_of(work).convert(layer, Foreign(row["base"], work.input["format"]), work.check)
    return {"layer": layer.name, "bytes": moved}


def head(work: Work) -> Mapping[str, Any]:
    """The volume's head is what was converted; it still keeps the image's bytes."""
    row, converted = volume_of(work), work.results["convert"]
    if row["head"] is None:
        layer = Layer(converted["layer"], Format.RAW, work.input["size_gib"] * GIB)
        why = f"No volume can lie on {work.input['format']}; its bytes were converted once, into a raw file."
        give_head(work, layer, "converted", converted["bytes"], why, keep=True)
    return {"layer": converted["layer"]}


def release(work: Work) -> None:
    """The volume needs the image's bytes no more; they go if their image is deleted and nobody else needs them."""
    with work.transaction() as tx:
        forsaken = _let_go(tx, work.resource_id)
    if forsaken is not None:
        erase(work, forsaken)
        with work.transaction() as tx:
            forget(tx, forsaken)
            _let_go(tx, work.resource_id)


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


VOLUME_FROM_CONVERSION = Flow(
    KIND,
    (Step("convert", convert, undo=sweep), Step("head", head, undo=take_back_head), Step("release", release)),
    settle=made,
    instead=INSTEAD,
)
