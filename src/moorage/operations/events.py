"""
Events: each committed change, in the order of the commits.

An event is written as its transaction's last statement; on PostgreSQL under a lock that lasts until the commit, so that
ids follow the order of commits and a reader who goes on from the last id that he has seen misses none.
"""

from typing import Any

from sqlalchemy import insert, text

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

    tx.before_commit(write)
