"""Why a store is as it is: whether this process and others can use it, and which operations wait for it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.flows.rooms import Rooms
from moorage.flows.why.answer import MOST, NothingOfThatKind, Part, Why, part
from moorage.images import outages
from moorage.images.locations import location
from moorage.operations import journal
from moorage.operations.journal import SECOND
from moorage.operations.records import operations


def why(tx: Transaction, caller: Caller, id: str, rooms: Rooms) -> Why:
    """What the store's state is. Every caller may know of stores, and of those of his operations that wait for one."""
    if id not in rooms.stores:
        raise NothingOfThatKind(kind="store", id=id[:64])
    trouble = rooms.stores[id].trouble()
    if trouble is None:
        answer = Why("store", id, "usable", tx.now, "Nothing is known that would keep it from being used.")
    else:
        answer = Why("store", id, "disabled", int(trouble.since * SECOND), f"It cannot be used: {trouble.why}.")
        answer.next = "It is looked at again every few seconds, and comes back by itself."
    if caller.is_admin:
        for event in outages.elsewhere(tx, id, rooms.process):
            answer.blockers.append(Part("process", event["facts"]["process"], _said(event)))
    told = operations.c.hindrance.startswith(f"The store {id} ", autoescape=True)
    waiting = select(operations).where(journal.is_open(), told).order_by(operations.c.created_at, operations.c.id)
    for operation in tx.all(waiting.limit(MOST)):
        if caller.sees(operation["project_id"]):
            answer.waiting.append(part(tx, operation))
    return answer


def _said(event: Mapping[str, Any]) -> str:
    facts = event["facts"]
    since = datetime.fromtimestamp(event["at"] / SECOND, UTC)
    role, host, pid = facts["role"], facts["host"], facts["pid"]
    return f"moorage {role} on {host}, pid {pid}, cannot use it since {since:%Y-%m-%d %H:%M:%S} UTC: {facts['reason']}."


def hold_up(tx: Transaction, answer: Why, rooms: Rooms) -> None:
    """Say of an image which of the stores that hold it cannot be used."""
    for row in location.held(tx, answer.id):
        store = rooms.stores.get(row["store"])
        trouble = store.trouble() if store is not None else "the configuration does not name it"
        if trouble is not None:
            answer.blockers.append(Part("store", row["store"], f"It holds the image and cannot be used: {trouble}."))
