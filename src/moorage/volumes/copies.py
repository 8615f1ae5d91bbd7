"""
Copies as rows: layers whose bytes come from an image store in which no volume can lie on them.

There is one for an image in a backend, however many volumes lie on it.  Until it is whole it needs what it is copied
from, which therefore stays though the image be deleted.  It goes with the last volume that lies on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, func, select, update

from moorage.core.lifecycle import lifecycle
from moorage.database import Transaction
from moorage.volumes import layers
from moorage.volumes.records import copies
from moorage.volumes.records import layers as layer_rows

c = copies.c


class State(StrEnum):
    FILLING = "filling"  #: some of its bytes are there; the rest comes when it is read, or in time
    AWAITED = "awaited"  #: no digests are known: volumes wait until it has come in whole
    WHOLE = "whole"  #: all of its bytes are there; it needs nothing and nobody
    REFUSED = "refused"  #: what came is not what was said of it; volumes on it cannot be made
    LEAVING = "leaving"  #: its last volume is taking it along


# fmt: off
LIFE = lifecycle(
    # event      may come from                     leads to
    ("complete", {State.FILLING, State.AWAITED},   State.WHOLE),
    ("refuse",   {State.AWAITED},                  State.REFUSED),
    ("leave",    frozenset(State),                 State.LEAVING),
)
# fmt: on

UNFINISHED = (str(State.FILLING), str(State.AWAITED))


@dataclass(frozen=True)
class New:
    """A copy that is to be made."""

    id: str
    backend: str
    host: str
    format: str  #: how its bytes are read
    disk_bytes: int  #: what is seen in them
    image_id: str
    store: str
    object: str
    size_bytes: int
    digests: bool  #: whether its chunks' digests are known


def name_of(id: str, image_id: str) -> str:
    """The name of the layer."""
    return f"copies/{image_id}/{id}-1"


def of(tx: Transaction, layer: str | None) -> Mapping[str, Any] | None:
    """The copy that the layer is, if it is one."""
    return tx.one(select(copies).where(c.layer == layer)) if layer is not None else None


def below(tx: Transaction, layer: str | None) -> Mapping[str, Any] | None:
    """The copy at the bottom of the layer's chain, if there is one."""
    for _ in range(layers.LONGEST_CHAIN):
        row = layers.row_of(tx, layer) if layer is not None else None
        if row is None:
            return None
        if row["parent"] is None:
            return of(tx, row["id"])
        layer = row["parent"]
    return None


def awaited(tx: Transaction, image_id: str) -> Sequence[Mapping[str, Any]]:
    """The copies of the image that have to come in whole before volumes can lie on them."""
    return tx.all(select(copies).where(c.image_id == image_id, c.state == str(State.AWAITED)).order_by(c.created_at))


def get(tx: Transaction, id: str) -> Mapping[str, Any] | None:
    """The copy's row."""
    row: Mapping[str, Any] | None = tx.get(copies, id)
    return row


def usable(tx: Transaction, backend: str, image_id: str) -> Mapping[str, Any] | None:
    """
    The copy of the image, locked, on which another volume may lie. The caller has the image's row: no other copy of it
    is made meanwhile.
    """
    states = [*UNFINISHED, str(State.WHOLE)]
    here = (c.image_id == image_id) & (c.backend == backend)
    for row in tx.all(select(copies).where(here, c.state.in_(states)).order_by(c.created_at)):
        tx.lock(layer_rows, [row["layer"]])
        now = tx.get(copies, row["id"])
        if now is not None and now["state"] in states:
            return now
    return None


def enter(tx: Transaction, new: New) -> Mapping[str, Any]:
    """Enter a copy of which nothing is there yet."""
    name = name_of(new.id, new.image_id)
    layers.keep(tx, name, new.format, new.disk_bytes, backend=new.backend)
    # fmt: off
    tx.enter(copies, {
        "id": new.id, "layer": name, "backend": new.backend, "host": new.host, "image_id": new.image_id,
        "store": new.store, "object": new.object, "size_bytes": new.size_bytes, "bytes_there": 0,
        "state": str(State.FILLING if new.digests else State.AWAITED), "created_at": tx.now,
    })
    # fmt: on
    return tx.get(copies, new.id) or {}


def progress(tx: Transaction, id: str, bytes_there: int) -> None:
    """Write down how much is there."""
    tx.run(update(copies).where(c.id == id).values(bytes_there=bytes_there))


def tell(tx: Transaction, id: str, trouble: str | None) -> None:
    """Write down why it does not get its bytes, or that it does."""
    tx.run(update(copies).where(c.id == id).values(trouble=trouble))


def move(tx: Transaction, id: str, event: str, **values: Any) -> bool:
    """Carry out a move of the lifecycle; whether that was still possible."""
    change = update(copies).where(c.id == id, c.state.in_([str(state) for state in LIFE[event].sources]))
    return bool(tx.run(change.values(state=str(LIFE[event].target), **values)))


def complete(tx: Transaction, row: Mapping[str, Any]) -> bool:
    """All of its bytes are there."""
    return move(tx, row["id"], "complete", bytes_there=row["size_bytes"], trouble=None, whole_at=tx.now)


def leave(tx: Transaction, layer: str) -> None:
    """No further volume may lie on the layer, should it be a copy."""
    row = of(tx, layer)
    if row is not None:
        move(tx, row["id"], "leave")


def strike(tx: Transaction, layer: str) -> None:
    """Take the copy, whose bytes are gone, off the rows."""
    tx.run(delete(copies).where(c.layer == layer))


def fed_by(tx: Transaction, store: str, object: str, *, apart_from: str | None = None) -> int:
    """How many copies still need what is in the store under that name."""
    needed = (c.store == store) & (c.object == object) & c.state.in_(UNFINISHED)
    query = select(func.count()).select_from(copies).where(needed)
    return int(tx.value(query if apart_from is None else query.where(c.id != apart_from)))


def unfinished(tx: Transaction, host: str) -> Sequence[Mapping[str, Any]]:
    """The copies of a host that are not whole."""
    return tx.all(select(copies).where(c.host == host, c.state.in_(UNFINISHED)).order_by(c.created_at, c.id))
