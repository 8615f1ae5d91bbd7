"""
What the flows of volumes do with layers: make a head, take it back, clear what an earlier run has left.

Files come before rows: a layer's name is entered only once its bytes are durable, in a transaction that fails where
the operation has been taken over meanwhile.  The name tells which run of which operation has made the bytes, so that
what no row names can be told from what one does.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import update

from moorage.operations.flow import Work
from moorage.volumes import layers
from moorage.volumes.backend import Backend, Format, Layer
from moorage.volumes.errors import BackendUnknown, VolumeNotFound
from moorage.volumes.records import volumes

GIB = 1 << 30


def backend_of(work: Work) -> Backend:
    """The backend that the operation's volume is kept in."""
    return backend_named(work, work.input["backend"])


def backend_named(work: Work, name: str) -> Backend:
    """The backend of this name."""
    try:
        backend: Backend = work.rooms.backends[name]
    except KeyError:
        raise BackendUnknown(backend=name) from None
    return backend


def volume_of(work: Work) -> Mapping[str, Any]:
    """The operation's volume as it is now."""
    with work.rooms.database.read() as tx:
        row = tx.get(volumes, work.resource_id)
    if row is None:
        raise VolumeNotFound(id=work.resource_id)
    found: Mapping[str, Any] = row
    return found


def prefix(work: Work) -> str:
    """What the names of all layers begin with that any run of this operation makes."""
    return f"volumes/{work.resource_id}/{work.id}-"


def fresh(work: Work, size_bytes: int, parent: Layer | None, format: Format = Format.QCOW2) -> Layer:
    """A new layer above `parent`, durable, which no row names yet; what earlier runs have left is gone."""
    sweep(work)
    layer = Layer(f"volumes/{work.resource_id}/{work.tag}", format, size_bytes, parent)
    backend_of(work).create(layer)
    return layer


def sweep(work: Work) -> None:
    """Delete the bytes that runs of this operation have left and that no row names."""
    backend = backend_of(work)
    names = {name for name in backend.layers() if name.startswith(prefix(work))} if work.epoch > 1 else set()
    names.add(f"volumes/{work.resource_id}/{work.tag}")
    with work.rooms.database.read() as tx:
        left = sorted(name for name in names if layers.row_of(tx, name) is None)
    for name in left:
        backend.delete(name)


def give_head(
    work: Work,
    layer: Layer,
    path: str,
    bytes_moved: int = 0,
    why: str | None = None,
    *,
    keep: bool = False,
    below: Layer | None = None,
) -> None:
    """
    Let the new volume's head be `layer`; it came to be by `path`, and `why` not by a faster one. What it was made of is
    the volume's no more, unless it is to `keep` that. `below` is its parent, where that is new too.
    """
    with work.transaction() as tx:
        found = tx.lock(volumes, [work.resource_id])
        if not found:
            raise VolumeNotFound(id=work.resource_id)
        took_ms = (tx.now - found[0]["created_at"]) // 1000
        made = {"path": path, "bytes": bytes_moved, "ms": took_ms, "why": why}
        if below is not None:
            layers.enter(tx, below, work.input["backend"])
        layers.enter(tx, layer, work.input["backend"])
        base = found[0]["base"] if keep else None
        tx.change(volumes, work.resource_id, {"head": layer.name, "base": base, "made": made})


def take_back_head(work: Work) -> None:
    """Leave the volume without the head that this operation has given it, as it was before."""
    with work.transaction() as tx:
        for row in tx.lock(volumes, [work.resource_id]):
            head = row["head"]
            if head is not None and head.startswith(prefix(work)):
                layer = layers.row_of(tx, head)
                base = row["base"] or (layer["parent"] if layer else None)
                tx.run(update(volumes).where(volumes.c.id == row["id"]).values(head=None, base=base, made=None))
                layers.strike(tx, head)
    sweep(work)
