"""
Layers as rows: which bytes there are, what lies on what, and who still needs them.

A layer is written to by at most one volume, whose head it is; once something lies on it, it is frozen.  Its bytes are
deleted with its last user: a volume whose head it is or that is going to lie on it, or a layer above it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, select, update

from moorage.core.errors import Conflict
from moorage.database import Transaction
from moorage.volumes.backend import Format, Layer
from moorage.volumes.records import layers, volumes

LONGEST_CHAIN = 200
DEEPEST_CHAIN = 128  #: of a head that still gets one above it


class LayerMissing(Conflict):
    """The layer {name} is not known."""

    code = "layer.missing"


def row_of(tx: Transaction, name: str) -> Mapping[str, Any] | None:
    """The layer's row."""
    return tx.get(layers, name)


def chain(tx: Transaction, name: str) -> Layer:
    """The layer with all that shows through it."""
    rows: list[Mapping[str, Any]] = []
    below: str | None = name
    while below is not None:
        row = row_of(tx, below)
        if row is None or len(rows) >= LONGEST_CHAIN:
            raise LayerMissing(name=below)
        rows.append(row)
        below = row["parent"]
    layer: Layer | None = None
    for row in reversed(rows):
        layer = Layer(row["id"], Format(row["format"]), row["size_bytes"], layer)
    assert layer is not None
    return layer


def depth(layer: Layer) -> int:
    """How many layers there are, from this one down."""
    return 1 + (depth(layer.parent) if layer.parent is not None else 0)


def enter(
    tx: Transaction,
    layer: Layer,
    backend: str,
    *,
    image_id: str | None = None,
    store: str | None = None,
) -> None:
    """Enter the layer into the rows; its bytes are there and durable. What is entered already stays as it is."""
    parent = layer.parent.name if layer.parent else None
    keep(tx, layer.name, layer.format, layer.size, backend=backend, parent=parent, image_id=image_id, store=store)


def keep(
    tx: Transaction,
    name: str,
    format: str,
    size_bytes: int,
    *,
    backend: str,
    parent: str | None = None,
    image_id: str | None = None,
    store: str | None = None,
) -> None:
    """Enter bytes of any format into the rows, so that they stay as long as they have a user."""
    if row_of(tx, name) is None:
        # fmt: off
        tx.enter(layers, {
            "id": name, "backend": backend, "format": str(format), "size_bytes": size_bytes, "parent": parent,
            "image_id": image_id, "store": store, "created_at": tx.now,
        })
        # fmt: on


def measure(tx: Transaction, name: str, size_bytes: int) -> None:
    """Write down how much is seen in bytes that nobody had read before."""
    tx.run(update(layers).where(layers.c.id == name).values(size_bytes=size_bytes))


def users_of(tx: Transaction, name: str) -> int:
    """How many volumes and layers need the bytes under `name` (also the name of a stored image's object)."""
    above = tx.value(select(func.count()).select_from(layers).where(layers.c.parent == name))
    v = volumes.c
    resting = tx.value(select(func.count()).select_from(volumes).where((v.head == name) | (v.base == name)))
    return int(above) + int(resting)


def waiting(tx: Transaction, row: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The other volumes that are just being made of the head of the volume `row`."""
    v = volumes.c
    if row["head"] is None:
        return ()
    return tx.all(select(volumes).where(v.base == row["head"], v.head.is_(None), v.id != row["id"]).order_by(v.id))


def strike(tx: Transaction, name: str) -> None:
    """Take the layer, whose bytes are gone, off the rows."""
    tx.run(delete(layers).where(layers.c.id == name))
