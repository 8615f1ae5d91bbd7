"""
Make a volume from a volume: the source's head is frozen, and both get a new one on it. No byte is copied, and who
writes to the source goes on writing.

That takes both volumes' turns: the new volume's operation is parked until the source's ("freeze-volume") is over.
Freezing enters the source's new head into the rows before its server goes over to it, and is never turned back from
there: whichever of the two a server writes to when it dies, the new head on the old one shows all of it.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import update

from moorage.core.caller import Caller
from moorage.core.errors import Conflict
from moorage.database import Transaction
from moorage.flows.volumes.volume_ends import INSTEAD, made
from moorage.flows.volumes.volume_layers import GIB, backend_of, fresh, give_head, sweep, take_back_head, volume_of
from moorage.operations import journal
from moorage.operations.flow import After, Flow, Step, Work
from moorage.operations.journal import Stored
from moorage.operations.records import OVER, State
from moorage.volumes import layers, status, volume
from moorage.volumes.attachments import attachment
from moorage.volumes.backend import Format, Layer
from moorage.volumes.errors import InvalidVolume
from moorage.volumes.records import volumes
from moorage.volumes.volume import New, Rules

COPIED = ("available", "in-use")  #: what a volume is that may be copied


class ChainTooLong(Conflict):
    """Volume {volume} lies on {depth} layers; it cannot be frozen again before some of them are merged."""

    code = "layer.chain-too-long"


def begin(
    tx: Transaction, caller: Caller, source: Mapping[str, Any], new: New, rules: Rules, key: str | None = None
) -> Mapping[str, Any]:
    """Begin to make a volume of `source`, whose row and whose project's quota are locked."""
    live = rules.traits is None or rules.traits.advance
    allowed = COPIED if live or not attachment.held(tx, source["id"]) else ()
    if source["status"] not in allowed:
        raise InvalidVolume(
            reason=f"Volume {source['id']} status must be {' or '.join(allowed or COPIED[:1])} to be copied, "
            f"but the current status is {source['status']}.",
            blockers=volume.blockers(tx, source),
        )
    row = volume.enter(tx, caller, new, rules)
    freeze = volume.begin(tx, "freeze-volume", source, caller, {"for": row["id"]})
    volume.begin(tx, "volume-from-volume", row, caller, {"size_gib": new.size_gib, "freeze": freeze}, key=key)
    return row


def layer(work: Work) -> Mapping[str, Any]:
    """There is an empty layer on the volume's head, which no row names yet."""
    row = volume_of(work)
    if row["head"] is None:
        raise Conflict(reason=f"Volume {work.resource_id} has no data.")
    with work.rooms.database.read() as tx:
        below = layers.chain(tx, row["head"])
    if layers.depth(below) >= layers.DEEPEST_CHAIN:
        raise ChainTooLong(volume=work.resource_id, depth=layers.depth(below))
    made = fresh(work, row["size_gib"] * GIB, below)
    return {"layer": made.name, "below": below.name}


def freeze(work: Work) -> Mapping[str, Any]:
    """
    The volume's head is the new layer, also for whoever serves it; the volume in `for`, where there is one, is counted
    as a user of the one below.
    """
    row, made = volume_of(work), work.results["layer"]
    if row["head"] != made["layer"]:
        with work.transaction() as tx:
            _enter(tx, work, made["layer"], made["below"])
    with work.rooms.database.read() as tx:
        head = layers.chain(tx, made["layer"])
    backend_of(work).advance(work.resource_id, head)
    return {"frozen": made["below"]}


def _enter(tx: Transaction, work: Work, name: str, below: str) -> None:
    waiting = work.input.get("for")
    ids = [work.resource_id] if waiting is None else [work.resource_id, waiting]
    row = {found["id"]: found for found in tx.lock(volumes, ids)}[work.resource_id]
    layers.enter(tx, Layer(name, Format.QCOW2, row["size_gib"] * GIB, layers.chain(tx, below)), row["backend"])
    tx.run(update(volumes).where(volumes.c.id == work.resource_id).values(head=name))
    if waiting is not None:
        tx.run(update(volumes).where(volumes.c.id == waiting, volumes.c.head.is_(None)).values(base=below))


def settle(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """The source is what it was."""
    tx.lock(volumes, [operation["resource_id"]])
    status.evaluate(tx, operation["resource_id"])


def wait(work: Work) -> Mapping[str, Any] | After:
    """The source's head is frozen."""
    with work.rooms.database.read() as tx:
        row = journal.get(tx, work.input["freeze"])
    if row is not None and row["state"] not in OVER:
        return After(work.input["freeze"])
    if row is not None and row["state"] == State.UNDONE:
        raise Stored.of(row) or Conflict(reason="The source could not be frozen.")
    return {}


def head(work: Work) -> Mapping[str, Any]:
    """The new volume's head lies on the frozen one."""
    row = volume_of(work)
    if row["head"] is not None:
        return {"layer": row["head"]}
    if row["base"] is None:
        raise Conflict(reason=f"The source of volume {work.resource_id} is gone.")
    with work.rooms.database.read() as tx:
        below = layers.chain(tx, row["base"])
    made_layer = fresh(work, work.input["size_gib"] * GIB, below)
    give_head(work, made_layer, "overlay-on-volume")
    return {"layer": made_layer.name}


FREEZE_VOLUME = Flow(
    "freeze-volume",
    (Step("layer", layer, undo=sweep), Step("head", freeze, forward_only=True)),
    settle=settle,
)

VOLUME_FROM_VOLUME = Flow(
    "volume-from-volume", (Step("freeze", wait), Step("head", head, undo=take_back_head)), settle=made, instead=INSTEAD
)
