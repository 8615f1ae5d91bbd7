"""
Make a volume from a volume: the source's head is frozen, and both get a new one on it. No byte is copied.

That takes both volumes' turns: the new volume's operation is parked until the source's ("freeze-volume") is over.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import update

from moorage.core.caller import Caller
from moorage.core.errors import Conflict
from moorage.database import Transaction
from moorage.flows.volume_ends import made
from moorage.flows.volume_layers import GIB, fresh, give_head, prefix, sweep, take_back_head, volume_of
from moorage.operations import journal
from moorage.operations.flow import After, Flow, Step, Work
from moorage.operations.journal import Stored
from moorage.operations.records import OVER, State
from moorage.volumes import attachment, layers, status, volume
from moorage.volumes.errors import InvalidVolume
from moorage.volumes.records import volumes
from moorage.volumes.volume import New, Rules


def begin(
    tx: Transaction, caller: Caller, source: Mapping[str, Any], new: New, rules: Rules, key: str | None = None
) -> Mapping[str, Any]:
    """Begin to make a volume of `source`, whose row and whose project's quota are locked."""
    if source["status"] != "available" or attachment.held(tx, source["id"]):
        raise InvalidVolume(
            reason=f"Volume {source['id']} status must be available to be copied, "
            f"but the current status is {source['status']}.",
            blockers=volume.blockers(tx, source),
        )
    row = volume.enter(tx, caller, new, rules)
    freeze = volume.begin(tx, "freeze-volume", source, caller, {"for": row["id"]})
    volume.begin(tx, "volume-from-volume", row, caller, {"size_gib": new.size_gib, "freeze": freeze}, key=key)
    return row


def freeze(work: Work) -> Mapping[str, Any]:
    """The volume's head is a new layer on the one that it was; the volume in `for` is counted as a user of that one."""
    row = volume_of(work)
    if row["head"] is None:
        raise Conflict(reason=f"Volume {work.resource_id} has no data.")
    if row["head"].startswith(prefix(work)):
        with work.rooms.database.read() as tx:
            return {"frozen": (layers.row_of(tx, row["head"]) or {})["parent"]}
    with work.rooms.database.read() as tx:
        below = layers.chain(tx, row["head"])
    layer = fresh(work, row["size_gib"] * GIB, below)
    with work.transaction() as tx:
        tx.lock(volumes, [work.resource_id, work.input["for"]])
        layers.enter(tx, layer, row["backend"])
        tx.run(update(volumes).where(volumes.c.id == work.resource_id).values(head=layer.name))
        waiting = update(volumes).where(volumes.c.id == work.input["for"], volumes.c.head.is_(None))
        tx.run(waiting.values(base=below.name))
    return {"frozen": below.name}


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
    layer = fresh(work, work.input["size_gib"] * GIB, below)
    give_head(work, layer, "overlay-on-volume")
    return {"layer": layer.name}


FREEZE_VOLUME = Flow("freeze-volume", (Step("head", freeze, undo=sweep),), settle=settle)

VOLUME_FROM_VOLUME = Flow(
    "volume-from-volume", (Step("freeze", wait), Step("head", head, undo=take_back_head)), settle=made
)
