"""How operations on volumes end: what is entered into the rows in the transaction that ends them."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import update

from moorage.database import Transaction
from moorage.operations.records import State
from moorage.volumes import status
from moorage.volumes.records import volumes

#: What to do with a volume that is made so quickly that nobody cancels that.
INSTEAD = "It is over soon: delete volume {id} then."


def made(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """A volume that was to be made is there, or has failed."""
    tx.lock(volumes, [operation["resource_id"]])
    if operation["state"] == State.UNDONE:
        tx.run(update(volumes).where(volumes.c.id == operation["resource_id"]).values(failed=True))
    status.evaluate(tx, operation["resource_id"])
