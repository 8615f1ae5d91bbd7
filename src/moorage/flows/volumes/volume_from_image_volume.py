"""
Make a volume from an image that is kept in a volume: its head lies on that volume's bytes, under another name. No byte
is copied, and whoever may see the image may have such a volume, whoever the image-volume belongs to.

Nobody writes to an image-volume any more, so its bytes may be shared as they are. Until they are, the new volume is
known to wait for them, and the image-volume is not deleted; afterwards each goes without the other.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Malformed
from moorage.database import Transaction
from moorage.flows.volumes.volume_ends import INSTEAD, made
from moorage.flows.volumes.volume_layers import GIB, backend_of, give_head, prefix, sweep, take_back_head, volume_of
from moorage.images.outgoing import Usable
from moorage.images.store import is_adopted
from moorage.operations.flow import Flow, Step, Work
from moorage.volumes import custody, layers, volume
from moorage.volumes.backend import Format, Layer
from moorage.volumes.records import volumes
from moorage.volumes.volume import New, Rules

KIND = "volume-from-image-volume"
GOING = ("deleting", "error_deleting", "error")  #: what an image-volume is whose bytes do not stay


class ImageVolumeUnusable(Malformed):
    """Image {image} cannot be used as it lies in store {store}: {reason}"""

    code = "image.volume-unusable"


class ImageVolumeElsewhere(ImageVolumeUnusable):
    """Image {image} is kept in store {store} where no volume can lie on it: {reason}"""

    code = "image.volume-elsewhere"


def begin(
    tx: Transaction, caller: Caller, image: Usable, store: str, new: New, rules: Rules, key: str | None = None
) -> Mapping[str, Any]:
    """Begin to make a volume of the locked `image` in `store`; the project's quota is locked already."""
    if is_adopted(image.stores[store]):
        reason = "its volume was made by others, who may write to it."
        raise ImageVolumeElsewhere(image=image.id, store=store, reason=reason)
    found = custody.holder(tx, image.id, store, image.stores[store])
    row = tx.lock(volumes, [found["id"]])[0] if found is not None else None
    if row is None or row["status"] in GOING or row["head"] is None:
        raise ImageVolumeUnusable(image=image.id, store=store, reason="its volume is gone.")
    if (row["backend"], row["host"]) != (new.backend, new.host) or (rules.traits and not rules.traits.shares):
        raise ImageVolumeElsewhere(image=image.id, store=store, reason=f"it is not in the backend {new.backend}.")
    shared = _read_as(image, store, layers.chain(tx, row["head"]))
    made_of = volume.enter(tx, caller, replace(new, base=row["head"]), rules)
    facts = {"size_gib": new.size_gib, "source": row["head"], "format": str(shared.format), "size": shared.size}
    volume.begin(tx, KIND, made_of, caller, facts, key=key)
    return made_of


def _read_as(image: Usable, store: str, head: Layer) -> Layer:
    """How the bytes of an image-volume's head are read as a layer."""
    if image.read_as in ("raw", "iso"):
        return head
    if image.read_as == "qcow2" and head.format is Format.RAW:
        return Layer(head.name, Format.QCOW2, image.virtual_size or image.size)
    reason = f"nothing can lie on the format {image.read_as} inside a volume."
    raise ImageVolumeElsewhere(image=image.id, store=store, reason=reason)


def head(work: Work) -> Mapping[str, Any]:
    """
    The volume's head lies on the image's bytes, which have a name for it alone. Where the image-volume was made of a
    volume, they are those that were frozen then: its own head above them is empty, for nobody has ever written to it.
    """
    row, asked = volume_of(work), work.input
    if row["head"] is not None:
        return {"layer": row["head"]}
    sweep(work)
    with work.rooms.database.read() as tx:
        source = layers.chain(tx, asked["source"])
    below = source.parent or Layer(f"{prefix(work)}{work.epoch}-image", Format(asked["format"]), asked["size"])
    backend = backend_of(work)
    if source.parent is None:
        backend.share(below, source.name)
    layer = Layer(f"volumes/{work.resource_id}/{work.tag}", Format.QCOW2, asked["size_gib"] * GIB, below)
    backend.create(layer)
    give_head(work, layer, "overlay-on-image-volume", below=below)
    return {"layer": layer.name}


def take_back(work: Work) -> None:
    """
    The volume is without the head that this operation has given it, and waits for the image-volume no more; nothing of
    it is left that no row names.
    """
    take_back_head(work)
    with work.transaction() as tx:
        for row in tx.lock(volumes, [work.resource_id]):
            if row["base"] == work.input["source"]:
                tx.change(volumes, row["id"], {"base": None})
    backend = backend_of(work)
    with work.rooms.database.read() as tx:
        left = [name for name in backend.layers() if name.startswith(prefix(work)) and not layers.row_of(tx, name)]
    for name in left:
        backend.delete(name)


VOLUME_FROM_IMAGE_VOLUME = Flow(KIND, (Step("head", head, undo=take_back),), settle=made, instead=INSTEAD)
