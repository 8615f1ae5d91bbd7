"""What an administrator has switched off: the parts of the service, by binary and host."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, insert, select

from moorage.database import Transaction
from moorage.operations import events
from moorage.operations.records import processes
from moorage.volumes.records import service_states


def states(tx: Transaction) -> dict[str, Mapping[str, Any]]:
    """What has been said of which service ("cinder-volume:HOST@BACKEND")."""
    return {row["id"]: row for row in tx.all(select(service_states))}


def switch(tx: Transaction, id: str, *, disabled: bool, reason: str | None) -> None:
    """Switch a service off or on."""
    tx.run(delete(service_states).where(service_states.c.id == id))
    tx.run(insert(service_states).values(id=id, disabled=disabled, reason=reason, updated_at=tx.now))
    events.record(tx, "service.switched", "service", id[:64], None, service=id, disabled=disabled, reason=reason)


def last_seen(tx: Transaction, host: str) -> int | None:
    """When a process of this host gave the last sign of life, in microseconds since 1970."""
    c = processes.c
    query = select(c.heartbeat_at).where(c.host == host).order_by(c.heartbeat_at.desc()).limit(1)
    found: int | None = tx.value(query)
    return found
