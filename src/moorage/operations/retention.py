"""How long what is over is kept: ended operations a week, events a month. Deleted in small transactions."""

from collections.abc import Callable

from moorage.database import Database, Transaction
from moorage.operations import events, journal
from moorage.operations.journal import SECOND
from moorage.operations.periodic import Job

OPERATIONS_S = 7 * 86400.0
EVENTS_S = 30 * 86400.0
EVERY_S = 600.0
AT_ONCE = 1000


def retention(database: Database) -> tuple[Job, ...]:
    """The jobs that keep the journal from growing for ever."""
    return (
        Job("forget-operations", EVERY_S, lambda: sweep(database, journal.forget, OPERATIONS_S)),
        Job("forget-events", EVERY_S, lambda: sweep(database, events.forget, EVENTS_S)),
    )


def sweep(database: Database, forget: Callable[[Transaction, int, int], int], kept_s: float) -> int:
    """Forget all that is older than `kept_s`; how many there were."""
    total = 0
    while True:
        some = database.transact(lambda tx: forget(tx, tx.now - int(kept_s * SECOND), AT_ONCE))
        total += some
        if some < AT_ONCE:
            return total
