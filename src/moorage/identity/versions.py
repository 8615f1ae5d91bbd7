"""The number that grows with each change of Identity: by it each process knows whether what it remembers holds."""

from sqlalchemy import select, update

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.database.fixed import Fixed
from moorage.identity.records import versions
from moorage.operations import events

_ROW = "identity"
_VERSION = Fixed(select(versions.c.version).where(versions.c.id == _ROW))


def current(tx: Transaction) -> int:
    """The number as `tx` sees it."""
    return int(tx.value(_VERSION))


def change(tx: Transaction) -> None:
    """Changes of Identity happen one after the other from here to the end of `tx`, and every process will notice."""
    tx.lock(versions, [_ROW])
    tx.run(update(versions).where(versions.c.id == _ROW).values(version=versions.c.version + 1))


def note(
    tx: Transaction, by: Caller, what: str, kind: str, id: str, project_id: str | None = None, **facts: object
) -> None:
    """The change is known as an event once `tx` is committed."""
    events.record(tx, f"{kind}.{what}", kind, id, project_id, by.request_id, user_id=by.user_id, **facts)
