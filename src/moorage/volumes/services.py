"""What an administrator has switched off: the parts of the service, by binary and host."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, insert, select

from moorage.core.errors import Unavailable
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


class PlaceDisabled(Unavailable):
    """No new volumes are put on {place}: an administrator has disabled it. Volumes that are there are not affected."""

    code = "backend.disabled"


def check_place(tx: Transaction, host: str, backend: str) -> None:
    """Raise `PlaceDisabled` where an administrator keeps new volumes off this backend of this host."""
    place = f"{host}@{backend}"
    if tx.value(select(service_states.c.disabled).where(service_states.c.id == f"cinder-volume:{place}")):
        raise PlaceDisabled(place=place)


def last_seen(tx: Transaction, host: str) -> int | None:
    """When a process of this host gave the last sign of life, in microseconds since 1970."""
    c = processes.c
    query = select(c.heartbeat_at).where(c.host == host).order_by(c.heartbeat_at.desc()).limit(1)
    found: int | None = tx.value(query)
    return found
