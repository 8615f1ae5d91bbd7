"""
A location: where the bytes of an image are.

Its row appears in the transaction that makes the image active, when the bytes are durable and checked, never before.
Bytes that volumes lie on outlive their image: its deletion forsakes them, and the last of those volumes takes them
along. What was adopted is others': any number of images may name it, and nobody here deletes it.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from moorage.core.ids import new_uuid
from moorage.core.lifecycle import lifecycle
from moorage.database import Transaction
from moorage.database.among import either
from moorage.database.fixed import Fixed
from moorage.images.records import images, locations
from moorage.images.store import is_adopted

l = locations.c  # noqa: E741


class State(StrEnum):
    HELD = "held"  #: the image's bytes are there
    LEAVING = "leaving"  #: the bytes are taken out of this store; nobody begins to read them any more
    FORSAKEN = "forsaken"  #: the image has left the store; volumes lie on the bytes, the last of them takes them along


# fmt: off
LIFE = lifecycle(
    # event      may come from               leads to
    ("forsake",  {State.HELD, State.FORSAKEN}, State.FORSAKEN),
    ("leave",    {State.HELD},                 State.LEAVING),
)
# fmt: on


_HELD = Fixed(
    select(locations)
    .where(l.image_id == bindparam("image"), either(l.state, [State.HELD]))
    .order_by(l.created_at, l.id)
)


def hold(tx: Transaction, image_id: str, store: str, name: str, details: Mapping[str, Any] | None = None) -> None:
    """
    The bytes of the image, whose row is locked, are in `store` under `name`; clients want these `details` to be
    remembered of that. Its `created_at` is after those of all that the image has: their order.
    """
    values = {"image_id": image_id, "store": store, "object": name, "state": State.HELD, "adopted": is_adopted(name)}
    last = tx.value(select(func.max(l.created_at)).where(l.image_id == image_id))
    at = tx.now if last is None else max(tx.now, last + 1)
    tx.run(insert(locations).values(id=new_uuid(), created_at=at, details=dict(details or {}) or None, **values))


def held(tx: Transaction, image_id: str) -> Sequence[Mapping[str, Any]]:
    """Where the image's bytes are, in the order in which they came there."""
    return tx.all(_HELD, {"image": image_id})


def objects(tx: Transaction, image_id: str) -> dict[str, str]:
    """
    The stores that hold the image, the first one first, and the object in each, of several the first, for our own use:
    who lets bytes out asks `images.outgoing`.
    """
    found: dict[str, str] = {}
    for row in held(tx, image_id):
        found.setdefault(row["store"], row["object"])
    return found


def forsake(tx: Transaction, id: str) -> None:
    """Leave the bytes of location `id` to the volumes that lie on them."""
    sources = LIFE["forsake"].sources
    tx.run(update(locations).where(l.id == id, l.state.in_(sources)).values(state=State.FORSAKEN))


def leave(tx: Transaction, id: str) -> None:
    """The bytes of location `id` are about to go."""
    sources = LIFE["leave"].sources
    tx.run(update(locations).where(l.id == id, l.state.in_(sources)).values(state=State.LEAVING))


def forsaken(tx: Transaction, store: str, name: str) -> bool:
    """
    Whether the object goes with its last user, because its image is deleted. The image's row is locked, so that the
    image's deletion and that of the last volume on its bytes agree which is last: ask before volumes are locked.
    """
    at = (l.store == store) & (l.object == name) & ~l.adopted
    image_id = tx.value(select(l.image_id).where(at))
    if image_id is None:
        return False
    tx.lock(images, [image_id])
    return bool(tx.value(select(l.state).where(at)) == State.FORSAKEN)


def forget(tx: Transaction, store: str, name: str) -> None:
    """Take the object, which was ours and whose bytes are gone, off the rows."""
    tx.run(delete(locations).where(l.store == store, l.object == name, ~l.adopted))


def let_go(tx: Transaction, id: str) -> None:
    """Take location `id`, which was adopted, off the rows."""
    tx.run(delete(locations).where(l.id == id, l.adopted))


def disown(tx: Transaction, image_id: str) -> None:
    """Take what the image has adopted off the rows; others may go on with it."""
    tx.run(delete(locations).where(l.image_id == image_id, l.adopted))
