"""
Holders as os-attach names them: a server or a host, of which each has one attachment of a volume at most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.volumes import volume
from moorage.volumes.attachments import attachment, hold, publication, reservation
from moorage.volumes.attachments.attachment import Origin, State
from moorage.volumes.errors import AlreadyAttached, InvalidVolume, WrongMode
from moorage.volumes.records import attachments

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Holder:
    """Who attaches the volume, as he says."""

    instance_uuid: str | None
    host: str | None  #: where there is no server
    mountpoint: str
    mode: str | None = None  #: rw, ro; None: what his door is for

    def is_of(self, claim: Row) -> bool:
        """Whether the attachment `claim` is his."""
        if self.instance_uuid:
            return bool(claim["instance_uuid"] == self.instance_uuid)
        return bool(claim["instance_uuid"] is None and claim["host"] == self.host)


def attach(tx: Transaction, caller: Caller, row: Row, holder: Holder) -> str:
    """
    Let the locked volume `row` be attached to `holder`: the attachment that he has, else the hold that is his, else a
    new one, without a door, where the volume is free. The attachment's id.
    """
    if row["readonly"] and holder.mode == "rw":
        raise WrongMode(mode=holder.mode, id=row["id"], reason="the volume is read-only.")
    held = attachment.held(tx, row["id"])
    found = _had(held, holder) or _hold(caller, row, held, holder)
    if row["status"] not in reservation.SHARED or (found is None and not _free(row)):
        raise AlreadyAttached(id=row["id"], status=row["status"], blockers=volume.blockers(tx, row))
    if found is None:
        said: dict[str, Any] = {"origin": str(Origin.OLD), "instance_uuid": holder.instance_uuid, "host": holder.host}
        found, _ = reservation.enter(tx, caller, row, mode=holder.mode or "rw", **said)
    (claim,) = tx.lock(attachments, [found["id"]])
    _settle(tx, caller, row, claim, holder)
    return str(claim["id"])


def _free(row: Row) -> bool:
    return bool(row["multiattach"] or row["status"] == "available")


def _had(held: Sequence[Row], holder: Holder) -> Row | None:
    his = [claim for claim in held if claim["origin"] != Origin.HOLD and holder.is_of(claim)]
    return next(iter(sorted(his, key=lambda claim: claim["state"] == State.DETACHING)), None)


def _hold(caller: Caller, row: Row, held: Sequence[Row], holder: Holder) -> Row | None:
    """
    The hold that he means. Of a volume for one it is the one there is; of a volume for several the one of his host, or
    the caller's only one: where it could be another's, that keeps its door, and the attachment is made without.
    """
    holds = [claim for claim in hold.of(caller, held) if claim["state"] != State.DETACHING]
    doors = [claim for claim in holds if claim["connector"]]
    plain = [claim for claim in holds if not claim["connector"]]
    if not row["multiattach"]:
        return next(iter(doors + plain), None)
    here = [claim for claim in doors if holder.host and claim["host"] == holder.host]
    own = [claim for claim in doors if claim["user_id"] == caller.user_id]
    only = own if holder.instance_uuid and len(own) == 1 else []
    return next(iter(here + only + plain), None)


def _settle(tx: Transaction, caller: Caller, row: Row, claim: Row, holder: Holder) -> None:
    """The locked attachment `claim` is the holder's, and he sees it; nobody means to detach it any more."""
    _fits(tx, row, claim, holder)
    if claim["mark"]:
        attachment.mark(tx, claim, None, caller.request_id)
    said = {"mountpoint": holder.mountpoint, "mode": claim["mode"] or holder.mode or "rw"}
    if holder.instance_uuid:
        said["instance_uuid"] = holder.instance_uuid
    elif not claim["host"]:
        said["host"] = holder.host
    tx.change(attachments, claim["id"], said)
    publication.complete(tx, caller, row, {**claim, **said})


def _fits(tx: Transaction, row: Row, claim: Row, holder: Holder) -> None:
    in_the_way = volume.blockers(tx, row)
    if claim["state"] not in (State.RESERVED, State.ATTACHING, State.ATTACHED):
        raise InvalidVolume(reason=f"The attachment that it has is {claim['state']}.", blockers=in_the_way)
    if claim["state"] == State.ATTACHING and not claim["connection"]:
        raise InvalidVolume(reason="Its connection is still being made.", blockers=in_the_way)
    if holder.mode and claim["mode"] and holder.mode != claim["mode"]:
        reason = f"what it is attached through is {claim['mode']}; ask for the mode in the connector."
        raise WrongMode(mode=holder.mode, id=row["id"], reason=reason, blockers=in_the_way)
