"""Publish an attachment: open the one door through which its holder reaches the volume."""

from collections.abc import Mapping
from typing import Any

from moorage.core.errors import Conflict, Problem
from moorage.database import Transaction
from moorage.flows.attachments import attachment_device
from moorage.flows.volumes import mend_volume
from moorage.flows.volumes.volume_layers import backend_of
from moorage.operations.flow import After, Flow, Step, Work
from moorage.operations.records import State as Done
from moorage.volumes import layers, status
from moorage.volumes.attachments import exports, publication, withdrawal
from moorage.volumes.attachments.attachment import State
from moorage.volumes.backend import Cache
from moorage.volumes.errors import VolumeNotFound
from moorage.volumes.records import attachments, volumes


class Overtaken(Conflict):
    """Attachment {id} was withdrawn or changed while it was being published."""

    code = "attachment.overtaken"


def publish(work: Work) -> Mapping[str, Any] | After:
    """The door is open and the row says where it is. A door of an earlier generation was closed before."""
    backend = backend_of(work)
    with work.rooms.database.read() as tx:
        row = tx.get(volumes, work.resource_id)
        if row is None:
            raise VolumeNotFound(id=work.resource_id)
        claim = _still(tx.get(attachments, work.input["attachment"]), work.input)
        if row["head"] is None:
            raise Conflict(reason=f"Volume {work.resource_id} has no data.")
        head = layers.chain(tx, row["head"])
    if claim["generation"] > 1:
        withdraw(work)
    try:
        connection = backend.publish(exports.of(claim), head, Cache(row["cache"]))
    except Problem as problem:
        if problem.code != "backend.server-died":
            raise
        with work.rooms.database.write() as tx:
            return After(mend_volume.begin(tx, work.rooms, work.resource_id))
    device = attachment_device.give(work.rooms, claim, connection.uri)
    kept = {"uri": connection.uri, "socket": connection.socket, "host": connection.host, "port": connection.port}
    return {"attachment": claim["id"], "connection": kept | device}


def record(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """The row says where the door is, unless the attachment is not to be published in this generation any more."""
    asked = operation["input"]
    tx.lock(volumes, [operation["resource_id"]])
    locked = tx.lock(attachments, [asked["attachment"]])
    claim = _still(locked[0] if locked else None, asked)
    publication.record(tx, claim, operation["results"]["publish"]["connection"])


def _still(claim: Mapping[str, Any] | None, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attachment, if it is still to be published in this generation."""
    if claim is None or claim["state"] != State.ATTACHING or claim["generation"] != asked["generation"]:
        raise Overtaken(id=asked["attachment"])
    return claim


def withdraw(work: Work) -> None:
    """The door is closed, if it ever was open, and nothing is left of a device behind it."""
    with work.rooms.database.read() as tx:
        claim = tx.get(attachments, work.input["attachment"])
    attachment_device.take(work.rooms, claim)
    backend_of(work).withdraw(work.resource_id, work.input["attachment"])


def settle(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """An attachment whose door did not open is reserved again, or gone where it was made with the door."""
    asked = operation["input"]
    tx.lock(volumes, [operation["resource_id"]])
    for claim in tx.lock(attachments, [asked["attachment"]]):
        ours = claim["state"] == State.ATTACHING and claim["generation"] == asked["generation"]
        if operation["state"] == Done.UNDONE and ours:
            if asked["created"]:
                withdrawal.release(tx, claim)
            else:
                publication.unpublish(tx, claim)
    status.evaluate(tx, operation["resource_id"])


PUBLISH_ATTACHMENT = Flow("publish-attachment", (Step("publish", publish, undo=withdraw),), settle, record)
