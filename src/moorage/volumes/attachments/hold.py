"""
Holds: what the calls that name no attachment (os-reserve, os-initialize_connection) keep until os-attach.

A hold is an attachment with a mark: it has a door, a generation and an owner like any other, keeps others off a volume
for one holder, and is left out of lists.  Of a volume for several, holds are told apart by their connectors; what
could be meant by more than one of them is not touched.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.volumes import volume
from moorage.volumes.attachments import attachment, publication, reservation, withdrawal
from moorage.volumes.attachments.attachment import Origin, State
from moorage.volumes.backend import Door
from moorage.volumes.errors import InvalidVolume, NotHoldable
from moorage.volumes.records import attachments

Row = Mapping[str, Any]


def of(caller: Caller, held: Sequence[Row]) -> list[Row]:
    """Those of the attachments `held` that are holds, the caller's own first."""
    holds = [claim for claim in held if claim["origin"] == Origin.HOLD]
    return sorted(holds, key=lambda claim: claim["user_id"] != caller.user_id)


def same(claim: Row, connector: Mapping[str, Any]) -> bool:
    """Whether the attachment's holder is where `connector` says; its mode and mountpoint do not count."""
    return bool(claim["connector"]) and _place(claim["connector"]) == _place(connector)


def _place(connector: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in connector.items() if name not in ("mode", "mountpoint")}


def reserve(tx: Transaction, caller: Caller, row: Row) -> None:
    """Keep the locked volume `row` for whoever attaches it next."""
    _may_hold(tx, row)
    reservation.enter(tx, caller, row, origin=str(Origin.HOLD))


def _may_hold(tx: Transaction, row: Row) -> None:
    if row["status"] == "available" or (row["multiattach"] and row["status"] in reservation.SHARED):
        return
    wanted = "available or in-use" if row["multiattach"] else "available"
    raise NotHoldable(wanted=wanted, status=row["status"], blockers=volume.blockers(tx, row))


def unreserve(tx: Transaction, caller: Caller, row: Row) -> str | None:
    """
    End a hold of the locked volume `row`, if there is one that can be meant; the operation that does it. Of a volume
    for several that is one without a door: with a door it is named by its connector.
    """
    held = attachment.held(tx, row["id"])
    plain = _plain(caller, row, held)
    meant = plain[:1] or ([] if row["multiattach"] else of(caller, held)[:1])
    return end(tx, caller, row, meant)


def _plain(caller: Caller, row: Row, held: Sequence[Row]) -> list[Row]:
    """
    The holds among `held` that have no door, which the caller may end without a name for them: of a volume for several
    only his own, as a call that is made twice would end his neighbour's.
    """
    holds = [claim for claim in of(caller, held) if not claim["export"]]
    return [claim for claim in holds if claim["user_id"] == caller.user_id or not row["multiattach"]]


def end(tx: Transaction, caller: Caller, row: Row, claims: Sequence[Row]) -> str | None:
    """Close the doors of `claims`, attachments of the locked volume `row`, and release them."""
    locked = tx.lock(attachments, [claim["id"] for claim in claims])
    return withdrawal.withdraw(tx, caller, row, [claim for claim in locked if claim["state"] != State.DETACHED])


def connect(
    tx: Transaction, caller: Caller, row: Row, connector: Mapping[str, Any], door: Door
) -> tuple[Row, str | None]:
    """
    Open the locked volume `row` to a holder at `connector`: to the one who is there already, to him who has a hold, or
    with a new hold. The attachment, and the operation that opens it; None: it is open.
    """
    if row["status"] == "maintenance" or "error" in row["status"]:
        raise InvalidVolume(
            reason=f"A volume in status {row['status']} cannot be connected.", blockers=volume.blockers(tx, row)
        )
    held = attachment.held(tx, row["id"])
    there = next((claim for claim in held if same(claim, connector) and claim["state"] != State.DETACHING), None)
    if there is not None and there["state"] in (State.ATTACHING, State.ATTACHED) and there["export"]:
        return there, None if there["connection"] else publication.publishing(tx, there)
    plain = [claim for claim in of(caller, held) if not claim["connector"]]
    found = there or next(iter(plain), None)
    if found is not None:
        (claim,) = tx.lock(attachments, [found["id"]])
        tx.change(attachments, claim["id"], {"user_id": caller.user_id})
        return claim, publication.publish(tx, caller, row, claim, connector, door)
    _may_hold(tx, row)
    return reservation.enter(tx, caller, row, connector, door, origin=str(Origin.HOLD))


def disconnect(tx: Transaction, caller: Caller, row: Row, connector: Mapping[str, Any]) -> str | None:
    """
    End the hold of the locked volume `row` at `connector`; where nobody is or was there, one that never had a door.
    """
    held = attachment.held(tx, row["id"])
    there = [claim for claim in held if same(claim, connector)]
    meant = of(caller, there) if there else _plain(caller, row, held)
    return end(tx, caller, row, meant[:1])
