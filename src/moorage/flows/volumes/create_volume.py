"""Make a blank volume."""

from collections.abc import Mapping
from typing import Any

from moorage.flows.volumes.volume_ends import INSTEAD, made
from moorage.flows.volumes.volume_layers import GIB, fresh, give_head, take_back_head, volume_of
from moorage.operations.flow import Flow, Step, Work
from moorage.volumes.backend import Format


def head(work: Work) -> Mapping[str, Any]:
    """The volume's head is an empty raw layer."""
    row = volume_of(work)
    if row["head"] is None:
        layer = fresh(work, work.input["size_gib"] * GIB, None, Format.RAW)
        give_head(work, layer, "blank")
        return {"layer": layer.name}
    return {"layer": row["head"]}


CREATE_VOLUME = Flow("create-volume", (Step("head", head, undo=take_back_head),), settle=made, instead=INSTEAD)
