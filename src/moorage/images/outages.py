"""
Outages of stores, as events tell of them: that a process cannot use one any more, and that it can again.

Each process knows for itself what it reaches, so each tells for itself; what the others know is read from their events.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from moorage.database import Transaction
from moorage.images.store import Trouble
from moorage.operations import events
from moorage.operations.process import Process, dead
from moorage.operations.records import events as event_rows
from moorage.operations.records import processes

DISABLED, USABLE = "store.disabled", "store.usable"
MOST = 200  #: events that are looked through, the newest first


def tell(tx: Transaction, by: Process, store: str, trouble: Trouble, away_s: float | None) -> None:
    """Say that `by` cannot use the store because of `trouble`, or, where it was `away_s`, that it can again."""
    who: dict[str, Any] = {"process": by.id, "role": by.role, "host": by.host, "pid": by.pid}
    what = DISABLED if away_s is None else USABLE
    away_s = None if away_s is None else round(away_s, 1)
    events.record(tx, what, "store", store, None, reason=trouble.why, away_s=away_s, **who)


def elsewhere(tx: Transaction, store: str, apart_from: str) -> list[Mapping[str, Any]]:
    """The newest event of each other living process that cannot use the store, the newest first."""
    c = event_rows.c
    newest = select(event_rows).where(c.resource_kind == "store", c.resource_id == store).order_by(c.id.desc())
    last: dict[str, Mapping[str, Any]] = {}
    for event in tx.all(newest.limit(MOST)):
        last.setdefault(event["facts"]["process"], event)
    gone = set(dead(tx)) | {apart_from}
    living = {row["id"] for row in tx.all(select(processes.c.id))} - gone
    return [event for id, event in last.items() if id in living and event["what"] == DISABLED]
