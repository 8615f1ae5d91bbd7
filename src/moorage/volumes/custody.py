"""
Volumes that Moorage keeps for itself: those that hold images.

Such a volume is Moorage's own user's and says in its metadata which image it holds. Whoever else may see it, who is an
administrator, may look at it, attach it read-only, and delete it by force when all else fails; everything else that
would change it, or take it from under its readers, is refused, and the refusal names the image.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update

from moorage.core.caller import MOORAGE, Caller
from moorage.core.errors import Blocker, Conflict
from moorage.database import Transaction
from moorage.operations import events
from moorage.volumes.records import layers, volumes

IMAGE, OWNER = "glance_image_id", "image_owner"
STORE, OBJECT, STATE, READY = "moorage_store", "moorage_object", "moorage_state", "ready"


class KeptForImage(Conflict):
    """Volume {id} holds the data of image {image}. Whoever does not want it deletes the image."""

    code = "volume.kept-for-image"


def image_of(row: Mapping[str, Any]) -> str | None:
    """The image that the volume `row` holds for Moorage."""
    if row["user_id"] != MOORAGE:
        return None
    found: str | None = row["metadata"].get(IMAGE)
    return found


def permit(caller: Caller, row: Mapping[str, Any]) -> None:
    """Raise `KeptForImage` where the volume `row` is not the caller's to change."""
    image = image_of(row)
    if image is not None and caller.user_id != MOORAGE:
        owner = row["metadata"].get(OWNER) or None
        raise KeptForImage(id=row["id"], image=image, blockers=(Blocker("image", image, owner),))


def trim(tx: Transaction, id: str, size_gib: int) -> None:
    """
    The image-volume `id`, which nobody has written behind that, is `size_gib` large and no larger. Its file keeps what
    is behind as a hole, which takes no room: layers are never cut.
    """
    for row in tx.lock(volumes, [id]):
        if image_of(row) is None or row["readonly"] or row["status"] != "available" or row["size_gib"] <= size_gib:
            continue
        size_bytes = size_gib << 30
        tx.run(update(layers).where(layers.c.id == row["head"]).values(size_bytes=size_bytes))
        tx.change(volumes, id, {"size_gib": size_gib, "updated_at": tx.now})
        events.record(tx, "volume.trimmed", "volume", id, row["project_id"], size_gib=size_gib)


def holder(tx: Transaction, image: str, store: str, name: str) -> Mapping[str, Any] | None:
    """The volume that holds the whole of the object `name` of `store`, which is that image's data."""
    c = volumes.c
    for row in tx.all(select(volumes).where(c.name == f"image-{image}", c.user_id == MOORAGE)):
        said = row["metadata"]
        if (said.get(STORE), said.get(OBJECT), said.get(STATE)) == (store, name, READY) and row["readonly"]:
            return row
    return None
