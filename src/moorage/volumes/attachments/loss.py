"""Attachments whose holders must not simply go on: writes that they were told are there may be gone."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, update

from moorage.database import Transaction
from moorage.volumes import status
from moorage.volumes.attachments import attachment
from moorage.volumes.attachments.attachment import LIFE, State
from moorage.volumes.records import attachments, volumes

#: Why a holder must not go on as if nothing had happened.
DIED = "The volume's storage daemon died, and writes that it had acknowledged may be lost."


def admit(tx: Transaction, volume_id: str, why: str, ids: Sequence[str] | None = None) -> None:
    """
    Writers that are being detached, all or those of `ids`, lost what they had not flushed: their generation is over, so
    that the answer to their detach does not say that all is durable.
    """
    c = attachments.c
    tx.lock(volumes, [volume_id])
    leaving = select(c.id).where(c.volume_id == volume_id, c.state == str(State.DETACHING), c.mode == "rw")
    known = [row["id"] for row in tx.all(leaving) if ids is None or row["id"] in ids]
    for claim in tx.lock(attachments, known):
        if claim["state"] == State.DETACHING and claim["problem"] != why:
            changed = {"generation": claim["generation"] + 1, "problem": why, "updated_at": tx.now}
            tx.run(update(attachments).where(c.id == claim["id"]).values(**changed))


def lose(tx: Transaction, volume_id: str, ids: Sequence[str], why: str) -> list[str]:
    """
    The attachments are in `error_attaching`, a generation on, without a door, until their holders ask for a new one.
    All of them in one transaction; those that changed meanwhile stay as they are. The ids of those that are lost.
    """
    tx.lock(volumes, [volume_id])
    lost = []
    for claim in tx.lock(attachments, ids):
        if not LIFE.allows("lose", claim["state"]):
            continue
        none: dict[str, Any] = dict.fromkeys(("export", "secret", "connection"))
        attachment.move(tx, claim["id"], "lose", generation=claim["generation"] + 1, problem=why, **none)
        lost.append(claim["id"])
    status.evaluate(tx, volume_id)
    return lost
