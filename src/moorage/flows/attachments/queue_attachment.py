"""
Queue for an attachment: wait until it is its turn, then publish it where its holder said that he is.

The operation sleeps until the volume is given to it (`volumes.attachments.queue`). Whoever cancels it, or its time,
leaves nothing.
"""

from collections.abc import Mapping
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Problem, Unavailable
from moorage.database import Transaction
from moorage.operations import journal
from moorage.operations.flow import After, Cancelled, Flow, Step, Work
from moorage.operations.journal import Stored
from moorage.operations.records import OVER
from moorage.operations.records import State as Done
from moorage.volumes import status
from moorage.volumes.attachments import publication, queue, reservation, withdrawal
from moorage.volumes.attachments.attachment import State
from moorage.volumes.backend import Door
from moorage.volumes.errors import AttachmentNotFound, VolumeNotFound
from moorage.volumes.records import attachments, volumes

FOR_EVER = 1 << 30


class NotItsTurn(Unavailable):
    """It is not its turn yet."""

    code = "attachment.not-its-turn"


class StillOpening(Unavailable):
    """Its door is still being opened, and is closed after that."""

    code = "attachment.still-opening"


def wait(work: Work) -> None:
    """The volume was given to it."""
    with work.transaction() as tx:
        found = tx.lock(volumes, [work.input["volume"]])
        if not found:
            raise VolumeNotFound(id=work.input["volume"])
        status.evaluate(tx, work.input["volume"])  # whoever woke us may have served nobody
        place = queue.find(tx, work.resource_id)
        now = place["state"] if place is not None else queue.State.LEFT
        instance = place["instance_uuid"] if place is not None else None
    if now == queue.State.WAITING:
        raise NotItsTurn()
    if now == queue.State.LEFT:
        with work.rooms.database.read() as tx:
            reservation.may_reserve(tx, tx.get(volumes, work.input["volume"]) or found[0], instance)
        raise Cancelled()


def leave(work: Work) -> None:
    """It is neither in the queue nor attached, and the volume is given to whoever is next."""
    with work.transaction() as tx:
        found = tx.lock(volumes, [work.input["volume"]])
        queue.drop(tx, work.resource_id)
        held = [row for row in tx.lock(attachments, [work.resource_id]) if row["state"] != State.DETACHED]
        if found and held:
            withdrawal.withdraw(tx, _holder(held[0]), found[0], held)
        elif found:
            status.evaluate(tx, work.input["volume"])


def publish(work: Work) -> After | None:
    """It is open to its holder, where he has said where he is."""
    opening = work.input["publish"]
    with work.transaction() as tx:
        place, row = queue.find(tx, work.resource_id), journal.get(tx, opening)
        if place is not None and place["connector"] is not None and row is None:
            _begin(tx, work, place)
            return After(opening)
    if row is None:
        return None
    if row["state"] not in OVER:
        return After(opening)
    if row["state"] == Done.UNDONE:
        raise Stored.of(row) or Problem()
    return None


def _begin(tx: Transaction, work: Work, place: Mapping[str, Any]) -> None:
    found, claims = tx.lock(volumes, [place["volume_id"]]), tx.lock(attachments, [place["id"]])
    if not found or not claims or claims[0]["state"] != State.RESERVED:
        raise AttachmentNotFound(id=place["id"])
    where = (place["connector"], Door(place["door"]))
    publication.publish_made(tx, _holder(claims[0]), found[0], claims[0], *where, operation=work.input["publish"])


def unpublish(work: Work) -> None:
    """Nothing is being opened any more."""
    with work.rooms.database.write() as tx:
        row = journal.get(tx, work.input["publish"])
        if row is None or row["state"] in OVER:
            return
        journal.cancel(tx, work.input["publish"])
    raise StillOpening()


def _holder(claim: Mapping[str, Any]) -> Caller:
    return Caller(claim["user_id"], claim["project_id"])


def settle(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """The place is gone once it has served, or is given up."""
    if operation["back"] or operation["state"] in OVER:
        queue.drop(tx, operation["resource_id"])


QUEUE_ATTACHMENT = Flow(
    queue.KIND,
    (Step("wait", wait, undo=leave), Step("publish", publish, undo=unpublish)),
    settle=settle,
    retries=FOR_EVER,
)
