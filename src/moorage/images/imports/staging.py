"""
Staged bytes: what waits outside of all stores to become an image, or is on its way there.

A row comes before its bytes and goes after them, so that every staged byte is counted and none is left over. The area
is a store that no client is told of; names in it are `staging/<image id>/<operation>-<epoch>`.
"""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, insert, select, update

from moorage.core.lifecycle import lifecycle
from moorage.database import Transaction
from moorage.images.records import staged

c = staged.c


class State(StrEnum):
    COMING = "coming"  #: an operation brings the bytes
    WAITING = "waiting"  #: the bytes are there, for an import
    LEAVING = "leaving"  #: nobody needs them; an operation takes them away


# fmt: off
LIFE = lifecycle(
    # event     may come from                    leads to
    ("arrive",  {State.COMING, State.WAITING},   State.WAITING),
    ("leave",   frozenset(State),                State.LEAVING),
)
# fmt: on


def name_of(image_id: str, tag: str) -> str:
    """The name of staged bytes; `tag` is of the operation that brings them, and of this try."""
    return f"staging/{image_id}/{tag}"


def expect(tx: Transaction, image_id: str, name: str, operation_id: str, size: int | None) -> None:
    """Bytes are going to be staged under `name`."""
    values = {"object": name, "image_id": image_id, "operation_id": operation_id, "size": size}
    tx.run(insert(staged).values(**values, state=State.COMING, created_at=tx.now))


def arrive(tx: Transaction, name: str, size: int) -> None:
    """The bytes under `name` are there, `size` of them."""
    at = (c.object == name) & c.state.in_(LIFE["arrive"].sources)
    tx.run(update(staged).where(at).values(state=State.WAITING, size=size))


def waiting(tx: Transaction, image_id: str) -> Mapping[str, Any] | None:
    """What waits to be imported into the image."""
    return tx.one(select(staged).where(c.image_id == image_id, c.state == State.WAITING))


def of_image(tx: Transaction, image_id: str) -> Sequence[Mapping[str, Any]]:
    """All that is staged for the image."""
    return tx.all(select(staged).where(c.image_id == image_id).order_by(c.object))


def of_operation(tx: Transaction, operation_id: str) -> Sequence[Mapping[str, Any]]:
    """All that the operation has staged."""
    return tx.all(select(staged).where(c.operation_id == operation_id).order_by(c.object))


def leave(tx: Transaction, names: Collection[str]) -> None:
    """Nobody needs these bytes any more."""
    if names:
        tx.run(update(staged).where(c.object.in_(list(names))).values(state=LIFE["leave"].target))


def forget(tx: Transaction, names: Collection[str]) -> None:
    """Take bytes that are gone off the rows."""
    if names:
        tx.run(delete(staged).where(c.object.in_(list(names))))
