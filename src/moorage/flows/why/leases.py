"""Why, of an attachment with a lease: who renews it, and when it lapses otherwise."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from moorage.database import Transaction
from moorage.hosts import lease
from moorage.volumes.attachments.attachment import State

OVER = (State.DETACHING, State.DETACHED)


class Answer(Protocol):
    """What is told of it so far."""

    next: str
    operation: Any
    you_may: list[str]


def add_lease(tx: Transaction, answer: Answer, claim: Mapping[str, Any]) -> None:
    """Say when the attachment's lease lapses, where it has one and nobody withdraws it already."""
    row = lease.of(tx, claim["id"]) if claim["state"] not in OVER else None
    if row is None:
        return
    until = datetime.fromtimestamp(row["until"] / lease.SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    who = f"the agent of host {row['host']}, or a call," if row["host"] else "a call"
    lapse = f"Its lease of {row['term_s']} s lapses at {until} unless {who} renews it; it is then fenced and released."
    answer.next = f"{answer.next} {lapse}" if answer.operation else lapse
    answer.you_may = [*answer.you_may, "renew its lease, or give it up, by an update with Moorage-Lease"]
