"""
An attachment: one volume made usable by one holder, from reservation to release.

A volume has as many attachments as it has users, which without multi-attach is one.  The table below is the whole
life of an attachment; any move that it does not list is refused.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, select, update

from moorage.core.errors import Blocker
from moorage.core.lifecycle import MoveRefused, lifecycle
from moorage.database import Transaction
from moorage.database.among import either
from moorage.database.fixed import Fixed
from moorage.operations import events, journal
from moorage.volumes.records import attachments


class State(StrEnum):
    RESERVED = "reserved"  #: claimed by its holder, who has not said where he is
    ATTACHING = "attaching"  #: the backend was asked to publish it, or has; the holder has not confirmed
    ATTACHED = "attached"  #: the holder has confirmed that he sees the device
    DETACHING = "detaching"  #: its door is being closed
    DETACHED = "detached"  #: over; the row is kept as history
    ERROR_ATTACHING = "error_attaching"  #: its server died with writes that may be lost: an update revives it
    ERROR_DETACHING = "error_detaching"  #: whether its door is closed is not known


class Origin(StrEnum):
    """What the calls that name no attachment (os-reserve and the like) have made. Null: made by its own call."""

    HOLD = "hold"  #: it is none yet, and not listed: os-attach makes it one
    OLD = "old"  #: os-attach has made it


class Mark(StrEnum):
    """What the calls that name no attachment have said of one."""

    LEAVING = "leaving"  #: its holder means to detach it; until he does, all stays as it is
    KEPT = "kept"  #: its door is being closed; it stays, leaving, until it is detached
    BACK = "back"  #: its door is being closed; it is reserved then, as nobody has said yet that he is attached


HELD = frozenset(State) - {State.DETACHED}

#: States in which the backend may have a door open.
OPEN = HELD - {State.RESERVED}

#: What a row says of its door.
DOOR = ("door", "export", "secret", "connection")

# fmt: off
LIFE = lifecycle(
    # event       may come from                                          leads to
    ("publish",   HELD - {State.DETACHING, State.ERROR_DETACHING},       State.ATTACHING),
    ("unpublish", {State.ATTACHING},                                     State.RESERVED),
    ("complete",  {State.RESERVED, State.ATTACHING, State.ATTACHED},     State.ATTACHED),
    ("lose",      {State.ATTACHING, State.ATTACHED},                     State.ERROR_ATTACHING),
    ("withdraw",  HELD,                                                  State.DETACHING),
    ("keep",      {State.DETACHING},                                     State.ATTACHED),
    ("retreat",   {State.DETACHING},                                     State.RESERVED),
    ("stick",     {State.DETACHING},                                     State.ERROR_DETACHING),
    ("release",   {State.RESERVED, State.ATTACHING, State.DETACHING},    State.DETACHED),
)
# fmt: on


#: What is told of a move.
TOLD = {
    "publish": "attaching",
    "unpublish": "unpublished",
    "complete": "attached",
    "lose": "lost",
    "withdraw": "detaching",
    "keep": "closed",
    "retreat": "unpublished",
    "stick": "stuck",
    "release": "released",
}


def move(
    tx: Transaction, id: str, event: str, request_id: str = "", *, reason: str | None = None, **values: Any
) -> None:
    """
    Let `event` happen to the attachment, change `values` with it and tell of it; raise `MoveRefused` where it may not.
    """
    new = {f"new_{column}": value for column, value in values.items()}
    row = tx.one(_move(event, tuple(values)), {"the_id": id, "new_updated_at": tx.now, **new})
    if row is None:
        now = tx.get(attachments, id)
        state, in_the_way = (now["state"], _in_the_way(tx, now)) if now else ("gone", ())
        raise MoveRefused(kind="Attachment", id=id, state=state, event=event, blockers=in_the_way)
    facts = {"volume": row["volume_id"], "instance": row["instance_uuid"], "generation": row["generation"]}
    facts |= {name: said for name, said in (("problem", row["problem"]), ("reason", reason)) if said}
    events.record(tx, f"attachment.{TOLD[event]}", "attachment", id, row["project_id"], request_id, **facts)


def enter(tx: Transaction, row: Mapping[str, Any], id: str, user_id: str, request_id: str = "", **said: Any) -> None:
    """Enter a reserved attachment of the locked volume `row`, which may have one."""
    if row["readonly"]:
        said["mode"] = "ro"
    whose = {"volume_id": row["id"], "project_id": row["project_id"], "user_id": user_id}
    state = str(State.RESERVED)
    tx.enter(attachments, {"id": id, "state": state, "generation": 0, "created_at": tx.now, **whose, **said})
    facts = {"volume": row["id"], "instance": said.get("instance_uuid")}
    events.record(tx, "attachment.reserved", "attachment", id, row["project_id"], request_id, **facts)


def _in_the_way(tx: Transaction, claim: Mapping[str, Any]) -> tuple[Blocker, ...]:
    """What is being done to the attachment; where that is nothing, its own state."""
    doing = [row for row in journal.open_on(tx, "volume", [claim["volume_id"]]) if about(row, claim["id"])]
    found = tuple(Blocker("operation", row["id"], row["project_id"]) for row in doing)
    return found or (Blocker("attachment", claim["id"], claim["project_id"]),)


def about(operation: Mapping[str, Any], id: str) -> bool:
    """Whether the operation on a volume is about its attachment `id`."""
    return id in (operation["input"].get("attachment"), *operation["input"].get("attachments", ()))


@lru_cache(64)
def _move(event: str, columns: tuple[str, ...]) -> Fixed:
    c, step = attachments.c, LIFE[event]
    new = {name: bindparam(f"new_{name}", type_=c[name].type) for name in (*columns, "updated_at")}
    change = update(attachments).where(c.id == bindparam("the_id"), either(c.state, map(str, step.sources)))
    told = (c.project_id, c.volume_id, c.instance_uuid, c.generation, c.problem)
    return Fixed(change.values(state=str(step.target), **new).returning(*told))


def mark(tx: Transaction, row: Mapping[str, Any], said: Mark | None, request_id: str = "") -> None:
    """Keep what a call that names no attachment has said of this one, and tell of it; None: it is taken back."""
    tx.change(attachments, row["id"], {"mark": said and str(said), "updated_at": tx.now})
    kind, facts = "leaving" if said else "staying", {"volume": row["volume_id"], "instance": row["instance_uuid"]}
    events.record(tx, f"attachment.{kind}", "attachment", row["id"], row["project_id"], request_id, **facts)


def standing(row: Mapping[str, Any]) -> str:
    """What it counts as where its volume's status is derived: a hold is on its way in, one that is leaving out."""
    if row["origin"] == Origin.HOLD and row["state"] == State.RESERVED:
        return str(State.ATTACHING)
    if row["mark"] == Mark.LEAVING and row["state"] == State.ATTACHED:
        return str(State.DETACHING)
    return str(row["state"])


_HELD = Fixed(
    select(attachments)
    .where(attachments.c.volume_id == bindparam("volume"), attachments.c.state != str(State.DETACHED))
    .order_by(attachments.c.created_at, attachments.c.id)
)


def held(tx: Transaction, volume_id: str) -> list[Mapping[str, Any]]:
    """The attachments of a volume that are not over, oldest first."""
    return list(tx.all(_HELD, {"volume": volume_id}))
