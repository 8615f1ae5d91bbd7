"""
Agents: what makes devices on a machine that has no database, and proves by a secret of its own which host it is.

A host is registered by an administrator, who is told the secret once; only its SHA-256 is kept.  Its heartbeats say
what it holds, and renew the leases of just that.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from moorage.core.errors import Conflict, Malformed, Unauthenticated
from moorage.core.ids import new_secret
from moorage.database import Transaction
from moorage.hosts import lease
from moorage.hosts.records import hosts
from moorage.hosts.service import HostNotFound
from moorage.operations import events

HEADER = "moorage-host-secret"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class HostServed(Conflict):
    """Host {id} is looked after by a Moorage with a database of its own: its devices need no agent and no leases."""

    code = "host.served"


class NotTheHost(Unauthenticated):
    """The request does not prove that it comes from the agent of this host."""

    code = "host.not-proven"


@dataclass(frozen=True)
class Beat:
    """What an agent says of its host."""

    boot: str
    version: str
    agent: str
    obstacles: list[str]
    devices: Mapping[str, Any]


def register(tx: Transaction, id: str, request_id: str = "") -> str:
    """Make host `id` known, with a new secret; an older one of it is not taken any more. The secret, this one time."""
    if not _NAME.fullmatch(id):
        raise Malformed(reason="A host's name has letters, digits, dots, dashes and underscores, 64 at most.")
    secret = new_secret(256)
    rows = tx.lock(hosts, [id])
    if rows and rows[0]["process"] is not None:
        raise HostServed(id=id)
    if rows:
        tx.run(update(hosts).where(hosts.c.id == id).values(secret=digest(secret)))
    else:
        blank: dict[str, Any] = {"boot": "", "agent": "", "version": "", "obstacles": [], "devices": {}}
        values = {"id": id, "secret": digest(secret), "created_at": tx.now, "heard_at": tx.now}
        tx.run(insert(hosts).values(**blank, **values))
    events.record(tx, "host.registered", "host", id, None, request_id)
    return secret


def unregister(tx: Transaction, id: str, request_id: str = "") -> None:
    """The host's agent is not believed any more: what it does not give up by itself lapses."""
    rows = tx.lock(hosts, [id])
    if not rows or rows[0]["secret"] is None:
        raise HostNotFound(id=id[:255])
    tx.run(update(hosts).where(hosts.c.id == id).values(secret=None))
    events.record(tx, "host.unregistered", "host", id, None, request_id)


def prove(tx: Transaction, id: str, headers: Mapping[str, str]) -> None:
    """Raise `NotTheHost` unless the request carries the secret of host `id`."""
    kept = tx.value(select(hosts.c.secret).where(hosts.c.id == id))
    given = digest(headers.get(HEADER, ""))
    if not hmac.compare_digest(kept or "", given):
        raise NotTheHost()


def digest(secret: str) -> str:
    """What is kept of a secret of 256 random bits."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def beat(tx: Transaction, id: str, said: Beat) -> list[Mapping[str, Any]]:
    """Keep what the agent of host `id` says, and renew the leases of what it holds; these leases."""
    tx.lock(hosts, [id])
    values = {"boot": said.boot, "version": said.version, "agent": said.agent, "obstacles": said.obstacles}
    moments = {"heard_at": tx.now, "heartbeat_at": tx.now}
    tx.run(update(hosts).where(hosts.c.id == id).values(devices=dict(said.devices), **values, **moments))
    return lease.renew(tx, id, said.devices)
