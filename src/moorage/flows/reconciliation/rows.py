"""
Rows and operations against one another: what only an operation leads out of has one, and an operation has its row.

They change together, in one transaction, so that neither is ever seen alone.  What is found here came from outside: a
row that was deleted by hand, a database that was restored.  It is looked at twice, because two queries may see two
moments; and a third time, under the locks, before anything is changed.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import select

from moorage.core.caller import NOBODY
from moorage.core.errors import Problem
from moorage.database import Transaction
from moorage.flows.images.locations import hash_image
from moorage.flows.reconciliation.finding import Finding, found
from moorage.flows.reconciliation.wanted import MENDING
from moorage.flows.rooms import Rooms
from moorage.images.records import images
from moorage.operations import journal
from moorage.operations.records import OVER, operations
from moorage.operations.records import State as Op
from moorage.volumes import status
from moorage.volumes.attachments import publication, withdrawal
from moorage.volumes.attachments.attachment import HELD, State
from moorage.volumes.records import attachments, copies, volumes

TABLES = {"volume": volumes, "image": images, hash_image.RESOURCE: images, "copy": copies}
ROWLESS = frozenset({MENDING})  #: kinds that also see to things that no row knows
KINDS = frozenset({"attachment-abandoned", "volume-abandoned", "status-stale", "operation-orphan"})

BETWEEN = (State.ATTACHING, State.DETACHING, State.ERROR_DETACHING)


class Forsaken(Problem):
    """What this was about is gone, though nobody had asked it to stop; it was ended."""

    status, code = 410, "operation.forsaken"


def row_drift(rooms: Rooms) -> list[Finding]:
    """What is wrong with the rows of this host's volumes and with the operations on them."""
    return _twice(rooms, _abandoned)


def status_drift(rooms: Rooms) -> list[Finding]:
    """Volumes in use, or said to be, that are called what they are not."""
    return _twice(rooms, _stale)


def _twice(rooms: Rooms, look: Callable[[Transaction, str], Iterator[Finding]]) -> list[Finding]:
    with rooms.database.read() as tx:
        first = {str(one) for one in look(tx, rooms.host)}
    if not first:
        return []
    with rooms.database.read() as tx:
        return [one for one in look(tx, rooms.host) if str(one) in first]


def _abandoned(tx: Transaction, host: str) -> Iterator[Finding]:
    under_way = tx.all(select(operations).where(journal.is_open()))
    busy = {row["resource_id"] for row in under_way}
    a, v = attachments.c, volumes.c
    query = select(attachments).join(volumes, v.id == a.volume_id)
    query = query.where(v.host == host, a.state.in_([str(state) for state in BETWEEN]))
    for claim in tx.all(query.order_by(a.created_at, a.id)):
        if claim["volume_id"] not in busy and _stands_still(claim):
            facts = {"attachment": claim["id"], "volume": claim["volume_id"], "state": claim["state"]}
            yield found("attachment-abandoned", **facts)
    for row in tx.all(select(volumes).where(v.host == host, v.head.is_(None), v.failed.is_(False)).order_by(v.id)):
        if row["id"] not in busy:
            yield found("volume-abandoned", volume=row["id"])
    for row in under_way:
        if row["queue"] == f"host:{host}" and _rowless(tx, row):
            what = {"what": f"{row['kind']} of {row['resource_kind']} {row['resource_id']}"}
            yield found("operation-orphan", operation=row["id"], **what)


def _stale(tx: Transaction, host: str) -> Iterator[Finding]:
    a, v = attachments.c, volumes.c
    held = select(a.volume_id).where(a.state.in_([str(state) for state in HELD]))
    query = select(volumes).where(v.host == host, v.status.not_in(("available", "error")) | v.id.in_(held))
    for row in tx.all(query.order_by(v.id)):
        if (now := status.derived(tx, row)) != row["status"]:
            yield found("status-stale", volume=row["id"], called=row["status"], derived=now)


def _stands_still(claim: Mapping[str, Any]) -> bool:
    """Whether only an operation could lead the attachment out of its state."""
    return claim["state"] in BETWEEN and (claim["state"] != State.ATTACHING or claim["connection"] is None)


def _rowless(tx: Transaction, operation: Mapping[str, Any]) -> bool:
    """Whether nothing is left that the operation could be about, and nobody is at it."""
    table = TABLES.get(operation["resource_kind"])
    if table is None or operation["kind"] in ROWLESS or tx.get(table, operation["resource_id"]) is not None:
        return False
    return bool(operation["state"] != Op.RUNNING or operation["lease_until"] < tx.now)


def repair(rooms: Rooms, finding: Finding) -> str | None:
    """Make the rows agree, if they still do not; the operation that goes on with it, where there is one."""
    facts = finding.facts
    if finding.kind == "operation-orphan":
        return rooms.database.transact(lambda tx: _end(tx, rooms, facts["operation"]))
    if finding.kind == "attachment-abandoned":
        return rooms.database.transact(lambda tx: _let_go(tx, facts["volume"], facts["attachment"]))
    return rooms.database.transact(lambda tx: _settle(tx, facts["volume"]))


def _let_go(tx: Transaction, volume: str, attachment: str) -> str | None:
    """An attachment that was being published is reserved again; one that was being withdrawn is, by an operation."""
    rows, claims = tx.lock(volumes, [volume]), tx.lock(attachments, [attachment])
    if not rows or not claims or not _stands_still(claims[0]) or journal.open_on(tx, "volume", [volume]):
        return None
    if claims[0]["state"] != State.ATTACHING:
        return withdrawal.withdraw(tx, NOBODY, rows[0], claims, reason="repair")
    publication.unpublish(tx, claims[0])
    status.evaluate(tx, volume)
    return None


def _settle(tx: Transaction, volume: str) -> None:
    """A volume whose bytes nobody makes has failed; any is called what it is."""
    for row in tx.lock(volumes, [volume]):
        if row["head"] is None and not row["failed"] and not journal.open_on(tx, "volume", [volume]):
            tx.change(volumes, volume, {"failed": True, "updated_at": tx.now})
        status.evaluate(tx, volume)


def _end(tx: Transaction, rooms: Rooms, operation: str) -> None:
    """The operation is over, undone: there is nothing left that it could do or undo."""
    for row in tx.lock(operations, [operation]):
        if row["state"] in OVER or not _rowless(tx, row):
            continue
        mine = {"state": str(Op.RUNNING), "owner": rooms.process, "epoch": row["epoch"] + 1, "waits_for": None}
        tx.change(operations, operation, {**mine, "lease_until": tx.now, "updated_at": tx.now})
        why = Forsaken()
        reason = {"error": why.sentence, "error_code": why.code, "error_status": why.status}
        journal.end(tx, operation, row["epoch"] + 1, Op.UNDONE, **reason)
