"""How long attachments that are over are kept, as history: three months. Deleted in small transactions."""

from sqlalchemy import delete, select

from moorage.database import Database, Transaction
from moorage.operations.periodic import Job
from moorage.operations.retention import EVERY_S, sweep
from moorage.volumes.attachments.attachment import State
from moorage.volumes.records import attachments

ATTACHMENTS_S = 90 * 86400.0


def retention(database: Database) -> tuple[Job, ...]:
    """The job that keeps the history from growing for ever."""
    return (Job("forget-attachments", EVERY_S, lambda: sweep(database, forget, ATTACHMENTS_S)),)


def forget(tx: Transaction, before: int, limit: int = 1000) -> int:
    """Drop up to `limit` attachments that were over before `before`; how many there were."""
    c = attachments.c
    old = select(c.id).where(c.detached_at < before, c.state == str(State.DETACHED)).order_by(c.detached_at)
    return tx.run(delete(attachments).where(c.id.in_(old.limit(limit))))
