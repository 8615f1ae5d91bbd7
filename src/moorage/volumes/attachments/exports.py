"""Exports as the rows ask for them: what is published, and published again after a server's death."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from moorage.database import Transaction
from moorage.volumes.attachments.attachment import State
from moorage.volumes.backend import Door, Export
from moorage.volumes.records import attachments

#: States in which an attachment's door stands open, or is being opened.
PUBLISHED = (State.ATTACHING, State.ATTACHED)


def of(claim: Mapping[str, Any]) -> Export:
    """The export of an attachment that has a door."""
    return Export(
        attachment=claim["id"],
        volume=claim["volume_id"],
        name=claim["export"],
        read_only=claim["mode"] == "ro",
        door=Door(claim["door"]),
        secret=claim["secret"],
    )


def wanted(tx: Transaction, volume_id: str) -> list[Mapping[str, Any]]:
    """The attachments of the volume whose doors stand open."""
    c = attachments.c
    states = [str(state) for state in PUBLISHED]
    query = select(attachments).where(c.volume_id == volume_id, c.state.in_(states), c.connection.is_not(None))
    return list(tx.all(query.order_by(c.created_at, c.id)))
