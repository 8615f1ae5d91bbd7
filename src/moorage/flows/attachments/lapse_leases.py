"""
Leases that lapse: what nobody has renewed for its term is fenced and released, by the operation that any detach is.

Whether a lease is over is decided twice: by whoever hears renewals (`hosts.lease.hear`), and again under the locks of
the volume, the attachment and the lease, so that a renewal either comes before and counts, or after and finds no lease.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select, update

from moorage.core.caller import NOBODY
from moorage.database import Transaction
from moorage.flows.rooms import Rooms
from moorage.hosts import lease
from moorage.operations import events
from moorage.volumes.attachments import withdrawal
from moorage.volumes.attachments.attachment import State
from moorage.volumes.records import attachments, volumes

log = logging.getLogger(__name__)

OVER = (State.DETACHING, State.DETACHED)


def listen_and_lapse(rooms: Rooms) -> list[str]:
    """Let it be known that renewals are heard, and begin to withdraw what has lapsed; the operations that do it."""
    with rooms.database.read() as tx:
        if lease.next_lapse(tx) is None:
            return []  # nothing is written while there are no leases
    heard = rooms.database.transact(lease.hear)
    if heard.deaf_us:
        log.warning("nobody heard renewals for %.1f s: every lease starts anew", heard.deaf_us / lease.SECOND)
    return lapse(rooms, heard)


def lapse(rooms: Rooms, heard: lease.Heard) -> list[str]:
    """Withdraw the attachments whose leases were over when `heard` was; the operations that do it, one a volume."""
    if not heard.lapsed:
        return []
    with rooms.database.read() as tx:
        c = attachments.c
        rows = tx.all(select(c.id, c.volume_id).where(c.id.in_(heard.lapsed)))
    of = {row["id"]: row["volume_id"] for row in rows}
    by_volume: dict[str, list[str]] = {}
    for id in heard.lapsed:
        by_volume.setdefault(of.get(id, ""), []).append(id)
    begun = (_lapse_one(rooms, volume, ids, heard.at) for volume, ids in by_volume.items())
    return [operation for operation in begun if operation is not None]


def _lapse_one(rooms: Rooms, volume: str, ids: Sequence[str], at: int) -> str | None:
    """One volume's; what fails there is tried again soon, and holds up no other volume."""
    try:
        return rooms.database.transact(lambda tx: _of_volume(tx, volume, ids, at))
    except Exception:
        log.exception("the leases on volume %s could not be ended", volume)
        return None


def _of_volume(tx: Transaction, volume: str, ids: Sequence[str], at: int) -> str | None:
    found = tx.lock(volumes, [volume])
    claims = {claim["id"]: claim for claim in tx.lock(attachments, ids)}
    lapsed = []
    for row in lease.still_lapsed(tx, ids, at):
        lease.end(tx, row["id"])
        claim = claims.get(row["id"])
        if claim is not None and claim["state"] not in OVER:
            _say(tx, claim, row)
            lapsed.append(claim)
    if not lapsed or not found:
        return None
    return withdrawal.withdraw(tx, NOBODY, found[0], lapsed, reason="lease")


def _say(tx: Transaction, claim: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    """Keep why it ends, for whoever asks and for whoever comes back."""
    nobody = f"neither a call nor the agent of host {row['host']}" if row["host"] else "no call"
    problem = f"Its lease of {row['term_s']} s lapsed: {nobody} renewed it."
    tx.run(update(attachments).where(attachments.c.id == claim["id"]).values(problem=problem))
    facts = {"volume": claim["volume_id"], "host": row["host"], "term_s": row["term_s"], "reason": "lease"}
    events.record(tx, "attachment.lapsed", "attachment", claim["id"], claim["project_id"], **facts)
