"""
Make a volume from an image that no volume can lie on: its bytes are converted into a head of the volume's own.

The image's object is the volume's base until the head is there, so that its deletion leaves the bytes to the volume
meanwhile.  Of many conversions only a few are done at once; the rest is parked, and keeps no thread from attachments.
"""

from collections.abc import Mapping
from typing import Any

from moorage.core.errors import Conflict
from moorage.flows.turns import turn
from moorage.flows.volumes import hydrate_copy
from moorage.flows.volumes.stored_layers import let_go
from moorage.flows.volumes.volume_ends import made
from moorage.flows.volumes.volume_layers import GIB, backend_of, give_head, sweep, take_back_head, volume_of
from moorage.operations.flow import After, Flow, Step, Work
from moorage.volumes.backend import Foreign, Format, Layer

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


def give_up(work: Work) -> None:
    """Nothing is left of the conversion, and the volume, which is none, needs the image's bytes no more."""
    sweep(work)
    let_go(work)


VOLUME_FROM_CONVERSION = Flow(
    KIND,
    (Step("convert", convert, undo=give_up), Step("head", head, undo=take_back_head), Step("release", let_go)),
    settle=made,
    cancellable=True,
)
