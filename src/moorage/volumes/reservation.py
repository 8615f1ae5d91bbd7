"""
An attachment's verbs: reserve, publish, complete, withdraw.

Each locks the volume first, then the attachment.  The volume's status never decides between siblings: of a volume that
several may use, only its own operations (made, extended, deleted) keep a new attachment out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from moorage.core.caller import Caller
from moorage.core.ids import new_secret, new_uuid
from moorage.database import Transaction
from moorage.operations import events, journal
from moorage.volumes import attachment, status, volume
from moorage.volumes.attachment import Mark, Origin, State
from moorage.volumes.backend import Door
from moorage.volumes.errors import (
    AttachmentNotFound,
    DuplicateConnector,
    InvalidVolume,
    NotOpenYet,
    NotReservable,
    NotReservableShared,
    VolumeInError,
)
from moorage.volumes.records import attachments, volumes

#: What a row says of its door.
_DOOR = ("door", "export", "secret", "connection")

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
        operation = _publish(tx, caller, row, _row(tx, id), connector, door, created=True, key=key)
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
    host = _text((connector or {}).get("host"))
    if host is None or row["multiattach"]:
        return
    if any(a["connector"] and a["host"] == host for a in attachment.held(tx, row["id"])):
        raise DuplicateConnector(id=row["id"], blockers=volume.blockers(tx, row))


def publish(
    tx: Transaction,
    caller: Caller,
    row: Mapping[str, Any],
    claim: Mapping[str, Any],
    connector: Mapping[str, Any],
    door: Door,
) -> str | None:
    """
    Open the locked volume `row` to the holder of the locked attachment `claim`, who is where `connector` says; the
    operation that does it. None: it is open to him already, and stays so.
    """
    if "error" in row["status"]:
        raise VolumeInError(id=row["id"], status=row["status"], blockers=volume.under_way(tx, row["id"]))
    held = attachment.held(tx, row["id"])
    if not row["multiattach"] and len(held) > 1 and any(a["connector"] and a["id"] != claim["id"] for a in held):
        raise DuplicateConnector(id=row["id"], blockers=volume.blockers(tx, row))
    same = claim["connector"] == dict(connector) and claim["door"] == str(door)
    if same and claim["state"] in (State.ATTACHING, State.ATTACHED):
        return None if claim["connection"] else publishing(tx, claim)
    return _publish(tx, caller, row, claim, connector, door)


def publish_made(
    tx: Transaction,
    caller: Caller,
    row: Mapping[str, Any],
    claim: Mapping[str, Any],
    connector: Mapping[str, Any],
    door: Door,
    *,
    operation: str,
) -> None:
    """
    Begin `operation`, which opens the locked volume `row` to the holder of the new attachment `claim`; where that fails
    the attachment is over.
    """
    _publish(tx, caller, row, claim, connector, door, created=True, id=operation)


def publishing(tx: Transaction, claim: Mapping[str, Any]) -> str | None:
    """The operation that publishes the attachment in its present generation."""
    for operation in journal.open_on(tx, "volume", [claim["volume_id"]]):
        asked = operation["input"]
        if asked.get("attachment") == claim["id"] and asked.get("generation") == claim["generation"]:
            return str(operation["id"])
    return None


def _publish(
    tx: Transaction,
    caller: Caller,
    row: Mapping[str, Any],
    claim: Mapping[str, Any],
    connector: Mapping[str, Any],
    door: Door,
    *,
    created: bool = False,
    **more: Any,
) -> str:
    generation = claim["generation"] + 1
    attachment.move(
        tx,
        claim["id"],
        "publish",
        caller.request_id,
        connector=dict(connector),
        door=str(door),
        host=_text(connector.get("host")),
        mountpoint=_text(connector.get("mountpoint")),
        mode="ro" if row["readonly"] else claim["mode"] or _mode(connector) or "rw",
        export=new_secret(128),
        secret=new_secret(256) if door is Door.TLS else None,
        generation=generation,
        attached_at=tx.now,
        mark=None,
        connection=None,
        problem=None,
    )
    asked = {"attachment": claim["id"], "generation": generation, "created": created}
    return volume.begin(tx, "publish-attachment", row, caller, asked, deadline_s=120.0, **more)


def _text(value: Any) -> str | None:
    return value[:255] if isinstance(value, str) else None


def _mode(connector: Mapping[str, Any]) -> str | None:
    mode = connector.get("mode")
    return mode if mode in ("rw", "ro") else None


def complete(tx: Transaction, caller: Caller, row: Mapping[str, Any], claim: Mapping[str, Any]) -> None:
    """The holder of the locked attachment `claim` sees the device. Without a connector he only says that he will."""
    if claim["state"] == State.ATTACHING and not claim["connection"]:
        raise NotOpenYet(id=claim["id"], blockers=volume.under_way(tx, row["id"]))
    if claim["state"] != State.ATTACHED:
        more = {"origin": str(Origin.OLD)} if claim["origin"] else {}
        at = claim["attached_at"] or tx.now
        attachment.move(tx, claim["id"], "complete", caller.request_id, attached_at=at, **more)
    status.evaluate(tx, row["id"])


def withdraw(
    tx: Transaction,
    caller: Caller,
    row: Mapping[str, Any],
    claims: Sequence[Mapping[str, Any]],
    reason: str | None = None,
    *,
    keep: bool = False,
) -> str | None:
    """
    Close the doors of the locked volume's attachments `claims` and release them; the operation that does it. None:
    there was no door, and they are released. Events carry the `reason` where it is not that somebody asked. With `keep`
    they, who all have doors, stay without.
    """
    doors = [claim for claim in claims if claim["export"]]
    _not_meant(tx, row, claims, caller.request_id)
    for claim in claims:
        if claim["state"] != State.DETACHING:
            said = str(Mark.KEPT) if keep else None
            attachment.move(tx, claim["id"], "withdraw", caller.request_id, mark=said)
        elif not keep:
            tx.change(attachments, claim["id"], {"mark": None, "updated_at": tx.now})
        if not claim["export"]:
            release(tx, claim, caller.request_id, reason)
    closing = _closing(tx, row["id"])
    fresh = [claim["id"] for claim in doors if claim["id"] not in closing]
    operation = None
    if fresh:
        asked = {"attachments": fresh, **({"reason": reason} if reason else {})}
        operation = volume.begin(tx, "withdraw-attachment", row, caller, asked, deadline_s=30 * 86400.0)
    elif doors:
        operation = closing[doors[0]["id"]]
    if operation is None:  # to begin one evaluates, too
        status.evaluate(tx, row["id"])
    return operation


def _not_meant(tx: Transaction, row: Mapping[str, Any], claims: Sequence[Mapping[str, Any]], request_id: str) -> None:
    """
    Of the volume's other attachments, as many that were said to leave stay as `claims` leave without being said to: who
    begins to detach names no attachment, and meant these.
    """
    leaving = {claim["id"] for claim in claims}
    unmarked = sum(claim["state"] == State.ATTACHED and not claim["mark"] for claim in claims)
    for other in attachment.held(tx, row["id"]):
        closed = other["connector"] and not other["export"]  # it has left already
        if unmarked and other["id"] not in leaving and other["mark"] == Mark.LEAVING and not closed:
            attachment.mark(tx, other, None, request_id)
            unmarked -= 1


def _closing(tx: Transaction, volume_id: str) -> dict[str, str]:
    """Which attachments of the volume are being withdrawn, by which operation."""
    rows = [row for row in journal.open_on(tx, "volume", [volume_id]) if row["kind"] == "withdraw-attachment"]
    return {id: row["id"] for row in rows for id in row["input"]["attachments"]}


def closed(tx: Transaction, claim: Mapping[str, Any], request_id: str, reason: str | None) -> None:
    """The door of the attachment, which is being withdrawn, is closed: it is over, unless it was to stay."""
    if claim["mark"] != Mark.KEPT:
        release(tx, claim, request_id, reason)
    else:
        none: dict[str, Any] = {**dict.fromkeys(_DOOR), "mark": str(Mark.LEAVING)}
        attachment.move(tx, claim["id"], "keep", request_id, **none)


def release(tx: Transaction, claim: Mapping[str, Any], request_id: str = "", reason: str | None = None) -> None:
    """The attachment is over. The row stays; what opened its door does not."""
    over: dict[str, Any] = {"detached_at": tx.now, "secret": None, "export": None, "mark": None}
    attachment.move(tx, claim["id"], "release", request_id, reason=reason, **over)


def unpublish(tx: Transaction, claim: Mapping[str, Any]) -> None:
    """Its door could not be opened: the attachment is only reserved, as before."""
    none: dict[str, Any] = dict.fromkeys(("connector", "host", "attached_at", *_DOOR))
    attachment.move(tx, claim["id"], "unpublish", **none)


def record(tx: Transaction, claim: Mapping[str, Any], connection: Mapping[str, Any]) -> None:
    """Keep what the backend says of the attachment's door."""
    tx.change(attachments, claim["id"], {"connection": dict(connection), "updated_at": tx.now})
    facts = {"volume": claim["volume_id"], "instance": claim["instance_uuid"], "generation": claim["generation"]}
    events.record(tx, "attachment.published", "attachment", claim["id"], claim["project_id"], **facts)


def _row(tx: Transaction, id: str) -> Mapping[str, Any]:
    return tx.get(attachments, id) or {}
