"""Attachments whose holders must not simply go on: writes that they were told are there may be gone."""

from collections.abc import Sequence
from typing import Any

from moorage.database import Transaction
from moorage.volumes import attachment, status
from moorage.volumes.attachment import LIFE
from moorage.volumes.records import attachments, volumes


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
