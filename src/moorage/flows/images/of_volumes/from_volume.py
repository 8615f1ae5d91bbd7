"""
Make an image of a volume without a copy: the volume's head is frozen, the volume gets a new one on it, and the image's
object shows the frozen bytes. The image is active at once; its hashes are computed in the background.

Where the store keeps images in volumes, it has one made of the volume instead (`clone_volume`); where the image is to
be of another format, or in any other store, its bytes are copied (`copy_volume`). Of a volume that is in use that is
done from frozen bytes too, so that the volume is free at once and the image of one moment: then this flow only freezes,
and *pins* what it has frozen until the copy is there.
"""

from collections.abc import Mapping
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Malformed
from moorage.core.ids import new_uuid
from moorage.database import Transaction
from moorage.flows.images.locations import hash_image
from moorage.flows.images.of_volumes import beneath, copy_volume
from moorage.flows.images.stores import store_of
from moorage.flows.volumes.volume_from_volume import freeze, layer
from moorage.flows.volumes.volume_layers import backend_of, sweep, volume_of
from moorage.images import allowance
from moorage.images.content.formats import HEAD_BYTES, ContentRefused, Inspection
from moorage.images.locations import unhashed
from moorage.images.records import images
from moorage.images.store import Store
from moorage.operations import journal
from moorage.operations.flow import Flow, Step, Work
from moorage.operations.records import State
from moorage.volumes import layers, status
from moorage.volumes.backend import Format, Layer
from moorage.volumes.records import volumes

KIND = "image-from-volume"
INSTEAD = "Delete image {image} instead: that ends it, and nothing is left of it."


class NoImage(Malformed):
    """Volume {volume} cannot be an image: {reason}"""

    code = "volume.no-image"


def finish_freezing(work: Work) -> None:
    """The volume is frozen for whoever serves it too, if its rows say so: that is not taken back, and harms nobody."""
    row, made = volume_of(work), work.results.get("layer")
    if made is not None and row["head"] == made["layer"]:
        with work.rooms.database.read() as tx:
            head = layers.chain(tx, row["head"])
        backend_of(work).advance(work.resource_id, head)


def show(work: Work) -> Mapping[str, Any]:
    """There is an object that shows the frozen bytes, or (`pin`) a layer on them that keeps them for a copy."""
    discard(work)  # what an earlier run has left
    with work.rooms.database.read() as tx:
        frozen = layers.chain(tx, work.results["head"]["frozen"])
    if work.input["copy"] is not None:
        pin = Layer(f"volumes/{work.resource_id}/{work.tag}.pin", Format.QCOW2, frozen.size, frozen)
        backend_of(work).create(pin)
        return {"pin": pin.name}
    store = store_of(work.rooms, work.input["store"])
    name = store.show(f"images/{work.input['image']}/{work.tag}", frozen.name, frozen.format, frozen.size)
    look(store, name, frozen.size, work)
    return {"object": name, "view": store.lies_on_layers(name)}


def look(store: Store, name: str, size: int, work: Work) -> None:
    """Raise `NoImage` where the beginning of the object would be refused as an upload."""
    inspection = Inspection("raw", work.input["container_format"])
    try:
        for chunk in store.open(name, 0, min(HEAD_BYTES, size)):
            inspection.feed(chunk)
    except ContentRefused as problem:
        raise NoImage(volume=work.input["volume"], reason=problem.sentence) from None


def discard(work: Work) -> None:
    """Nothing is left of the object or the pin, which no row names."""
    for epoch in range(1, work.epoch + 1):
        if work.input["copy"] is not None:
            backend_of(work).delete(f"volumes/{work.resource_id}/{work.id}-{epoch}.pin")
        else:
            name = f"images/{work.input['image']}/{work.id}-{epoch}"
            store_of(work.rooms, work.input["store"]).delete(name)


def record(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """The image is active, or is going to be when the copy is there. One that was deleted meanwhile gets nothing."""
    asked, results = operation["input"], operation["results"]
    image = unhashed.awaited(tx, asked["image"], operation["id"])
    if image is None:
        raise copy_volume.Unwanted(image=asked["image"])
    frozen = layers.chain(tx, results["head"]["frozen"])
    tx.lock(volumes, [operation["resource_id"]])
    if asked["copy"] is not None:
        _copy(tx, operation, Layer(results["show"]["pin"], Format.QCOW2, frozen.size, frozen))
        return
    name = results["show"]["object"]
    if results["show"]["view"]:
        shown = Layer(name, Format.QCOW2, frozen.size, frozen)
        layers.enter(tx, shown, asked["backend"], image_id=image["id"], store=asked["store"])
    appear(tx, operation, image, name, frozen.size)


def appear(tx: Transaction, operation: Mapping[str, Any], image: Mapping[str, Any], name: str, size: int) -> None:
    """The locked image is active, and its bytes are the object; they are hashed in time."""
    asked, known = operation["input"], unhashed.Known(size, size, "raw")
    unhashed.appear(tx, image["id"], operation["id"], known, {asked["store"]: name}, operation["request_id"] or "")
    hash_image.begin(tx, image, operation["queue"], asked["hash_algorithm"])


def _copy(tx: Transaction, operation: Mapping[str, Any], pin: Layer) -> None:
    asked, id = operation["input"], new_uuid()
    layers.enter(tx, pin, asked["backend"])
    tx.change(images, asked["image"], {"upload_id": id})
    allowance.hand_over(tx, operation["id"], id)
    kept = {name: asked[name] for name in "image volume container_format store backend hash_algorithm".split()}
    journal.begin(
        tx,
        copy_volume.KIND,
        "image",
        asked["image"],
        queue=operation["queue"],
        project_id=operation["project_id"],
        input={**kept, "disk_format": asked["copy"], "layers": beneath.names(pin)},
        caller=Caller(operation["user_id"] or "", request_id=operation["request_id"] or ""),
        deadline_s=copy_volume.DEADLINE_S,
        id=id,
    )


def settle(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """An image that comes to nothing is gone; the volume is what it was."""
    if operation["back"] or operation["state"] == State.UNDONE:
        unhashed.unwind(tx, operation["input"]["image"], operation["id"], operation["error"])
    tx.lock(volumes, [operation["resource_id"]])
    status.evaluate(tx, operation["resource_id"])


IMAGE_FROM_VOLUME = Flow(
    KIND,
    (Step("layer", layer, undo=sweep), Step("head", freeze, undo=finish_freezing), Step("show", show, undo=discard)),
    settle=settle,
    record=record,
    instead=INSTEAD,
)
