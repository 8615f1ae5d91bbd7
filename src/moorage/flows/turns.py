"""
Whose turn it is with long work: of each kind and queue only so much is done at once, those who asked first going first.

What is hindered, by a store that is away or by anything else, keeps nobody waiting until it is tried again.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from moorage.operations.flow import After, Work
from moorage.operations.journal import is_open
from moorage.operations.records import State, operations

AT_ONCE = 2


def turn(work: Work, kind: str, at_once: int = AT_ONCE) -> After | None:
    """What is to end before this operation goes on; None where it may."""
    c, me = operations.c, operations.alias("me")
    here = c.queue == select(me.c.queue).where(me.c.id == work.id).scalar_subquery()
    going_on = (c.attempts == 0) | (c.state == State.RUNNING)
    query = select(c.id).where(is_open(), c.kind == kind, here, going_on, c.step == 0, c.back.is_(False))
    with work.rooms.database.read() as tx:
        rows: list[Mapping[str, Any]] = list(tx.all(query.order_by(c.created_at, c.id)))
    ids = [row["id"] for row in rows]
    place = ids.index(work.id) if work.id in ids else 0
    return After(str(ids[place - at_once]), unless_hindered=True) if place >= at_once else None
