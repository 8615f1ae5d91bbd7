"""The journal: operations that do not get on by themselves."""

from collections.abc import Iterator

from sqlalchemy import select, update

from moorage.flows.reconciliation.finding import Finding, found
from moorage.flows.rooms import Rooms
from moorage.operations.flow import Flows
from moorage.operations.journal import BEGUN, is_open
from moorage.operations.records import State, operations

STUCK_AFTER = 5  #: failures of one step


def operation_drift(rooms: Rooms, flows: Flows) -> Iterator[Finding]:
    """Operations that keep failing, and those that nobody here knows how to do."""
    with rooms.database.read() as tx:
        rows = tx.all(select(operations).where(is_open()).order_by(operations.c.created_at))
    for row in rows:
        facts = {"operation": row["id"], "what": f"{row['kind']} of {row['resource_kind']} {row['resource_id']}"}
        if row["kind"] not in flows:
            yield found("operation-unknown", **facts)
        elif row["attempts"] >= STUCK_AFTER:
            yield found(
                "operation-stuck",
                **facts,
                attempts=row["attempts"],
                error=row["hindrance"] or row["error"] or "unknown",
            )


def hasten(rooms: Rooms, operation: str) -> None:
    """Have the operation tried again at once."""
    c = operations.c
    with rooms.database.write() as tx:
        tx.run(update(operations).where(c.id == operation, c.state == State.QUEUED).values(not_before=0))
        tx.notify(BEGUN, rooms.host_queue)
