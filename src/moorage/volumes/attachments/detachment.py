"""
Detachments as the calls that name no attachment ask for them: begun, rolled back, done, forced.

Which attachment is meant is decided before anything is done to one, and whether the caller may take it away.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Blocker
from moorage.database import Transaction
from moorage.volumes import status, volume
from moorage.volumes.attachments import attachment, guard, hold, withdrawal
from moorage.volumes.attachments.attachment import Mark, Origin, State
from moorage.volumes.attachments.guard import Grounds
from moorage.volumes.errors import HeldByServer, NotDetachable, OfAnotherVolume, SeveralAttachments
from moorage.volumes.records import attachments

Row = Mapping[str, Any]


def begin(tx: Transaction, row: Row, request_id: str = "") -> None:
    """Somebody means to detach one attachment of the locked volume `row`; it and its siblings stay as they are."""
    free = [claim for claim in attachment.held(tx, row["id"]) if claim["state"] == State.ATTACHED and not claim["mark"]]
    if row["status"] != "in-use" or not free:
        raise NotDetachable(blockers=volume.blockers(tx, row))
    attachment.mark(tx, free[0], Mark.LEAVING, request_id)
    status.evaluate(tx, row["id"])


def roll_back(tx: Transaction, row: Row, request_id: str = "") -> None:
    """Somebody does not mean to detach his attachment of the locked volume `row` any more, if he did."""
    leaving = [claim for claim in attachment.held(tx, row["id"]) if claim["mark"] == Mark.LEAVING]
    if leaving:
        attachment.mark(tx, leaving[-1], None, request_id)
        status.evaluate(tx, row["id"])


def disconnect(tx: Transaction, caller: Caller, row: Row, connector: Mapping[str, Any], grounds: Grounds) -> str | None:
    """
    Close the door of the locked volume `row` at `connector`: a hold ends, an attachment stays, without a door, until it
    is detached. Where several are meant none is touched: each one's door is closed when it is detached.
    """
    held = attachment.held(tx, row["id"])
    there = [claim for claim in held if hold.same(claim, connector) and claim["export"]]
    if not there or any(claim["origin"] == Origin.HOLD for claim in there):
        return hold.disconnect(tx, caller, row, connector)
    stand_open = [claim for claim in there if claim["state"] != State.DETACHING]
    if len(stand_open) > 1:
        return None
    locked = tx.lock(attachments, [(stand_open or there)[0]["id"]])
    if stand_open:
        guard.check(locked[0], caller, grounds)
    return withdrawal.withdraw(tx, caller, row, locked, keep=True)


def detach(tx: Transaction, caller: Caller, row: Row, id: str | None, grounds: Grounds) -> str | None:
    """End the attachment `id` of the locked volume `row`, or the only one; the operation that does it."""
    return hold.end(tx, caller, row, _ending(tx, caller, row, id, grounds))


def force(
    tx: Transaction, caller: Caller, row: Row, id: str | None, connector: Mapping[str, Any], grounds: Grounds
) -> str | None:
    """The same, and the hold at `connector` with it."""
    ending = _ending(tx, caller, row, id, grounds)
    holds = [claim for claim in hold.of(caller, attachment.held(tx, row["id"])) if hold.same(claim, connector)]
    known = {claim["id"] for claim in ending}
    return hold.end(tx, caller, row, [*ending, *(claim for claim in holds if claim["id"] not in known)])


def _ending(tx: Transaction, caller: Caller, row: Row, id: str | None, grounds: Grounds) -> Sequence[Row]:
    """What ends: the attachment that is meant; of a volume for one that has none, its hold."""
    claim = _meant(tx, caller, row, id)
    if claim is not None:
        guard.check(claim, caller, grounds)
        return [claim]
    free = id is None and not row["multiattach"]
    return hold.of(caller, attachment.held(tx, row["id"])) if free else []


def _meant(tx: Transaction, caller: Caller, row: Row, id: str | None) -> Row | None:
    if id is not None:
        return _named(tx, caller, row, id)
    rows = [claim for claim in attachment.held(tx, row["id"]) if claim["origin"] != Origin.HOLD]
    if len(rows) > 1:
        raise SeveralAttachments(id=row["id"], blockers=tuple(_blocker(claim) for claim in rows))
    return rows[0] if rows else None


def _named(tx: Transaction, caller: Caller, row: Row, id: str) -> Row | None:
    """The attachment `id`; None: it is over. One that nobody knows may be Compute's: only who may end those passes."""
    claim = tx.get(attachments, id)
    if claim is None or not caller.sees(claim["project_id"]):
        if guard.passes(caller):
            return None
        raise HeldByServer(instance="")
    if claim["volume_id"] != row["id"]:
        raise OfAnotherVolume(id=id, volume=row["id"], blockers=(_blocker(claim),))
    return None if claim["state"] == State.DETACHED else claim


def _blocker(claim: Row) -> Blocker:
    return Blocker("attachment", claim["id"], claim["project_id"])
