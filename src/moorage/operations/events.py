"""
Events: each committed change, in the order of the commits.

An event is written as its transaction's last statement; on PostgreSQL under a lock that lasts until the commit, so that
ids follow the order of commits and a reader who goes on from the last id that he has seen misses none.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, select, text

from moorage.database import Transaction
from moorage.operations.records import events

_ORDER = text("SELECT pg_advisory_xact_lock(7305808869230500179)")


def record(
    tx: Transaction, what: str, kind: str, id: str, project_id: str | None, request_id: str = "", **facts: Any
) -> None:
    """Let it be known, once `tx` is committed, that `what` happened to resource `id`. `facts` hold no secrets."""

    def write(tx: Transaction) -> None:
        if tx.dialect == "postgresql":
            tx.value(_ORDER)
        tx.run(
            insert(events).values(
                at=tx.now,
                what=what,
                resource_kind=kind,
                resource_id=id,
                project_id=project_id,
                request_id=request_id,
                facts=facts,
            )
        )

    tx.before_commit(write, last=True)


def since(tx: Transaction, id: int, limit: int = 1000) -> Sequence[Mapping[str, Any]]:
    """The events after number `id`, oldest first: whoever goes on from the last one that he has seen misses none."""
    return tx.all(select(events).where(events.c.id > id).order_by(events.c.id).limit(limit))


def forget(tx: Transaction, before: int, limit: int = 1000) -> int:
    """Drop up to `limit` events from before `before`; how many there were."""
    old = select(events.c.id).where(events.c.at < before).order_by(events.c.at).limit(limit)
    return tx.run(delete(events).where(events.c.id.in_(old)))
