"""Publishing: the door of an attachment is opened where its holder is, who confirms that he sees the device."""

from collections.abc import Mapping
from typing import Any

from moorage.core.caller import Caller
from moorage.core.ids import new_secret
from moorage.database import Transaction
from moorage.operations import events, journal
from moorage.volumes import status, volume
from moorage.volumes.attachments import attachment
from moorage.volumes.attachments.attachment import Origin, State
from moorage.volumes.backend import Door
from moorage.volumes.errors import DuplicateConnector, NotOpenYet, VolumeInError
from moorage.volumes.records import attachments


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
    return begin(tx, caller, row, claim, connector, door)


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
    begin(tx, caller, row, claim, connector, door, created=True, id=operation)


def publishing(tx: Transaction, claim: Mapping[str, Any]) -> str | None:
    """The operation that publishes the attachment in its present generation."""
    for operation in journal.open_on(tx, "volume", [claim["volume_id"]]):
        asked = operation["input"]
        if asked.get("attachment") == claim["id"] and asked.get("generation") == claim["generation"]:
            return str(operation["id"])
    return None


def begin(
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
    """Begin to open the locked volume `row` in a new generation of the locked attachment `claim`; the operation."""
    generation = claim["generation"] + 1
    attachment.move(
        tx,
        claim["id"],
        "publish",
        caller.request_id,
        connector=dict(connector),
        door=str(door),
        host=host(connector),
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


def _mode(connector: Mapping[str, Any]) -> str | None:
    mode = connector.get("mode")
    return mode if mode in ("rw", "ro") else None


def host(connector: Mapping[str, Any]) -> str | None:
    """The host that `connector` names."""
    return _text(connector.get("host"))


def _text(value: Any) -> str | None:
    return value[:255] if isinstance(value, str) else None


def record(tx: Transaction, claim: Mapping[str, Any], connection: Mapping[str, Any]) -> None:
    """Keep what the backend says of the attachment's door."""
    tx.change(attachments, claim["id"], {"connection": dict(connection), "updated_at": tx.now})
    facts = {"volume": claim["volume_id"], "instance": claim["instance_uuid"], "generation": claim["generation"]}
    events.record(tx, "attachment.published", "attachment", claim["id"], claim["project_id"], **facts)


def unpublish(tx: Transaction, claim: Mapping[str, Any]) -> None:
    """Its door could not be opened: the attachment is only reserved, as before."""
    none: dict[str, Any] = dict.fromkeys(("connector", "host", "attached_at", *attachment.DOOR))
    attachment.move(tx, claim["id"], "unpublish", **none)


def complete(tx: Transaction, caller: Caller, row: Mapping[str, Any], claim: Mapping[str, Any]) -> None:
    """The holder of the locked attachment `claim` sees the device. Without a connector he only says that he will."""
    if claim["state"] == State.ATTACHING and not claim["connection"]:
        raise NotOpenYet(id=claim["id"], blockers=volume.under_way(tx, row["id"]))
    if claim["state"] != State.ATTACHED:
        more = {"origin": str(Origin.OLD)} if claim["origin"] else {}
        at = claim["attached_at"] or tx.now
        attachment.move(tx, claim["id"], "complete", caller.request_id, attached_at=at, **more)
    status.evaluate(tx, row["id"])
