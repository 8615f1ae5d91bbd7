"""
Hosts: each is heard of by whoever looks after it, once a minute and whenever that changes.

What is kept is what was last seen, for those who ask from elsewhere; nothing is decided by it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import insert, select, update

from moorage.core.errors import NotFound
from moorage.database import Transaction
from moorage.hosts.devices import Device
from moorage.hosts.records import hosts


class HostNotFound(NotFound):
    """Host {id} is not known."""

    code = "host.not-found"


@dataclass(frozen=True)
class Sighting:
    """What the process that looks after a host says of it."""

    process: str
    boot: str
    agent: str
    version: str
    obstacles: Sequence[str]
    devices: Mapping[str, Device]


def hear(tx: Transaction, id: str, seen: Sighting) -> None:
    """Keep what is said of host `id`; the first time makes it known."""
    values: dict[str, Any] = {
        "process": seen.process,
        "boot": seen.boot,
        "agent": seen.agent,
        "version": seen.version,
        "obstacles": list(seen.obstacles),
        "devices": {attachment: asdict(device) for attachment, device in seen.devices.items()},
        "heard_at": tx.now,
    }
    if tx.lock(hosts, [id]):
        tx.run(update(hosts).where(hosts.c.id == id).values(**values))
    else:
        tx.run(insert(hosts).values(id=id, created_at=tx.now, **values))


def get(tx: Transaction, id: str) -> Mapping[str, Any]:
    """What is known of host `id`."""
    row = tx.one(select(hosts).where(hosts.c.id == id))
    if row is None:
        raise HostNotFound(id=id[:255])
    return row


def known(tx: Transaction) -> Sequence[Mapping[str, Any]]:
    """All hosts, by name."""
    return tx.all(select(hosts).order_by(hosts.c.id))
