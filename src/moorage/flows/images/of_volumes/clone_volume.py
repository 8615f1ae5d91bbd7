"""
Make an image of a volume in a store that keeps images in volumes of the same Block Storage: the store has a volume of
its own made of it, which copies no byte, and the image is active at once. Its hashes are computed in the background.

The operation is the image's, not the volume's: that one's turn is taken by its copy, which the store asks for like any
other user.
"""

from collections.abc import Mapping
from typing import Any

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.flows.images.of_volumes import from_volume
from moorage.flows.images.of_volumes.copy_volume import Unwanted
from moorage.flows.images.stores import store_of
from moorage.images.locations import unhashed
from moorage.operations import journal
from moorage.operations.flow import Flow, Step, Work
from moorage.operations.journal import Fenced
from moorage.operations.records import State

KIND = "image-from-volume-clone"
QUEUE = "any"


def begin(
    tx: Transaction, caller: Caller, volume: Mapping[str, Any], given: Mapping[str, Any], id: str, key: str | None
) -> None:
    """The image in `given`, which waits for operation `id`, becomes one of the volume."""
    asked = {**given, "volume": volume["id"]}
    project = volume["project_id"]
    journal.begin(
        tx, KIND, "image", given["image"], queue=QUEUE, project_id=project, input=asked, caller=caller, key=key, id=id
    )


def take(work: Work) -> Mapping[str, Any]:
    """The store has a volume that holds what the volume held at one moment."""
    discard(work)  # what an earlier run has left
    store, name = store_of(work.rooms, work.input["store"]), f"images/{work.input['image']}/{work.tag}"
    size = store.take(name, work.input["volume"])
    try:
        with work.transaction():
            pass
    except Fenced:  # whoever has taken over may have cleared away before this was there
        store.delete(name)
        raise
    from_volume.look(store, name, size, work)
    return {"object": name, "size": size}


def discard(work: Work) -> None:
    """The store has nothing of this operation."""
    store = store_of(work.rooms, work.input["store"])
    for epoch in range(1, work.epoch + 1):
        store.delete(f"images/{work.input['image']}/{work.id}-{epoch}")


def record(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """The image is active."""
    given, taken = operation["input"], operation["results"]["take"]
    image = unhashed.awaited(tx, given["image"], operation["id"])
    if image is None:
        raise Unwanted(image=given["image"])
    from_volume.appear(tx, operation, image, taken["object"], taken["size"])


def settle(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """An image that comes to nothing is gone."""
    if operation["back"] or operation["state"] == State.UNDONE:
        unhashed.unwind(tx, operation["input"]["image"], operation["id"], operation["error"])


IMAGE_FROM_VOLUME_CLONE = Flow(
    KIND, (Step("take", take, undo=discard),), settle=settle, record=record, instead=from_volume.INSTEAD
)
