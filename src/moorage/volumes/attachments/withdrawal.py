"""Withdrawing: the doors of attachments are closed, and the attachments over."""

from collections.abc import Mapping, Sequence
from typing import Any

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.operations import journal
from moorage.volumes import status, volume
from moorage.volumes.attachments import attachment
from moorage.volumes.attachments.attachment import Mark, State
from moorage.volumes.records import attachments


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
    they, who all have doors, stay without: who was attached leaves, what was only opened is reserved again.
    """
    doors = [claim for claim in claims if claim["export"]]
    _not_meant(tx, row, claims, caller.request_id)
    for claim in claims:
        if claim["state"] != State.DETACHING:
            said = str(_kept_as(claim)) if keep else None
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


def _kept_as(claim: Mapping[str, Any]) -> Mark:
    """What becomes of the attachment without its door. What os-attach has made once was attached."""
    return Mark.BACK if claim["state"] == State.ATTACHING and not claim["origin"] else Mark.KEPT


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
    none: dict[str, Any] = dict.fromkeys(attachment.DOOR)
    if claim["mark"] == Mark.KEPT:
        attachment.move(tx, claim["id"], "keep", request_id, **none, mark=str(Mark.LEAVING))
    elif claim["mark"] == Mark.BACK:
        none |= dict.fromkeys(("connector", "host", "attached_at", "mark"))
        attachment.move(tx, claim["id"], "retreat", request_id, **none)
    else:
        release(tx, claim, request_id, reason)


def release(tx: Transaction, claim: Mapping[str, Any], request_id: str = "", reason: str | None = None) -> None:
    """The attachment is over. The row stays; what opened its door does not."""
    over: dict[str, Any] = {"detached_at": tx.now, "secret": None, "export": None, "mark": None}
    attachment.move(tx, claim["id"], "release", request_id, reason=reason, **over)
