"""
Reserving: a volume is claimed by one holder more.

Here as in `publication` and `withdrawal` the volume is locked first, then the attachment.  The volume's status never
decides between siblings: of a volume that several may use, only its own operations (made, extended, deleted) keep a new
attachment out.
"""

from collections.abc import Mapping
from typing import Any

from moorage.core.caller import Caller
from moorage.core.ids import new_uuid
from moorage.database import Transaction
from moorage.volumes import custody, status, volume
from moorage.volumes.attachments import attachment, publication
from moorage.volumes.attachments.attachment import State
from moorage.volumes.backend import Door
from moorage.volumes.errors import (
    AttachmentNotFound,
    DuplicateConnector,
    InvalidVolume,
    NotReservable,
    NotReservableShared,
)
from moorage.volumes.records import attachments, volumes

SHARED = frozenset({"available", "in-use", "reserved", "attaching", "detaching"})
SAME_HOLDER = SHARED - {"available", "detaching"}


def find(tx: Transaction, caller: Caller, id: str) -> Mapping[str, Any]:
    """The attachment's row, if it is not over and the caller may know of it."""
    row = tx.get(attachments, id)
    if row is None or row["state"] == State.DETACHED or not caller.sees(row["project_id"]):
        raise AttachmentNotFound(id=id[:255])
    return row


def locked(tx: Transaction, caller: Caller, id: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The volume's and the attachment's row, nobody else changing them."""
    row = find(tx, caller, id)
    found = tx.lock(volumes, [row["volume_id"]])
    rows = tx.lock(attachments, [id])
    if not found or not rows or rows[0]["state"] == State.DETACHED:
        raise AttachmentNotFound(id=id[:255])
    return found[0], rows[0]


def reserve(
    tx: Transaction,
    caller: Caller,
    row: Mapping[str, Any],
    instance_uuid: str | None,
    mode: str | None,
    connector: Mapping[str, Any] | None = None,
    door: Door | None = None,
    key: str | None = None,
) -> tuple[Mapping[str, Any], str | None]:
    """
    Claim the locked volume `row`; with a connector and a door, publish it there too. The attachment, and the operation
    that publishes it.
    """
    if mode != "ro":
        custody.permit(caller, row)
    may_reserve(tx, row, instance_uuid)
    _not_twice(tx, row, connector)
    return enter(tx, caller, row, connector, door, key=key, instance_uuid=instance_uuid, mode=mode)


def enter(
    tx: Transaction,
    caller: Caller,
    row: Mapping[str, Any],
    connector: Mapping[str, Any] | None = None,
    door: Door | None = None,
    key: str | None = None,
    **said: Any,
) -> tuple[Mapping[str, Any], str | None]:
    """
    Enter an attachment of the locked volume `row`, which may have one, and publish it where there is a door. The
    attachment, and the operation that publishes it.
    """
    id = new_uuid()
    attachment.enter(tx, row, id, caller.user_id, caller.request_id, **said)
    operation = None
    if connector is not None and door is not None:
        operation = publication.begin(tx, caller, row, _row(tx, id), connector, door, created=True, key=key)
    else:
        status.evaluate(tx, row["id"])
    return _row(tx, id), operation


def may_reserve(tx: Transaction, row: Mapping[str, Any], instance_uuid: str | None) -> None:
    """Raise a refusal where the locked volume `row` cannot be had now."""
    now = row["status"]
    if "error" in now:
        raise InvalidVolume(
            reason="Volume attachments can not be created if the volume is in an error state. The Volume "
            f"{row['id']} currently has a status of: {now} ",
            blockers=volume.blockers(tx, row),
        )
    if now == "available" or (row["multiattach"] and now in SHARED):
        return
    held = attachment.held(tx, row["id"])
    if instance_uuid and now in SAME_HOLDER and held and all(a["instance_uuid"] == instance_uuid for a in held):
        return  # a server that moves holds its volume on both hosts for a while
    kind = NotReservableShared if row["multiattach"] else NotReservable
    raise kind(id=row["id"], status=now, blockers=volume.blockers(tx, row))


def _not_twice(tx: Transaction, row: Mapping[str, Any], connector: Mapping[str, Any] | None) -> None:
    """A server that moves has its volume on two hosts, never twice on one."""
    host = publication.host(connector or {})
    if host is None or row["multiattach"]:
        return
    if any(a["connector"] and a["host"] == host for a in attachment.held(tx, row["id"])):
        raise DuplicateConnector(id=row["id"], blockers=volume.blockers(tx, row))


def _row(tx: Transaction, id: str) -> Mapping[str, Any]:
    return tx.get(attachments, id) or {}
