"""
Copy a volume's bytes into an image: into another format, or into a store that keeps copies only.

Of a volume that nobody uses its head is read, and the volume is `uploading` until that is over; of one in use, what
`from_volume` has frozen and pinned, and the volume has nothing to do with it any more. A copy that comes to nothing
leaves no bytes and no image.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from moorage.core.errors import Conflict
from moorage.database import Transaction
from moorage.flows.images.of_volumes import beneath
from moorage.flows.images.stores import store_of
from moorage.flows.turns import turn
from moorage.flows.volumes import hydrate_copy
from moorage.flows.volumes.volume_layers import backend_of, volume_of
from moorage.images import receiving
from moorage.images.content import known_digests
from moorage.images.content.intake import Intake, Taken
from moorage.images.locations import unhashed
from moorage.operations.flow import After, Flow, Step, Work
from moorage.operations.records import State
from moorage.volumes import layers, status
from moorage.volumes.backend import Layer
from moorage.volumes.records import volumes

KIND = "copy-volume-to-image"
DEADLINE_S = 14 * 86400.0
CHUNK_BYTES = 1 << 20


class Unwanted(Conflict):
    """Image {image} was deleted before its bytes were there."""

    code = "image.unwanted"


def copy(work: Work) -> Mapping[str, Any] | After:
    """The bytes are in the store, and what was learnt of them is known."""
    waiting = turn(work, KIND) or hydrate_copy.awaited(work, beneath.names(_layer(work))[-1])
    if waiting is not None:
        return waiting
    _clear_bytes(work)
    name = f"images/{work.input['image']}/{work.tag}"
    writer = store_of(work.rooms, work.input["store"]).create(name, None)
    try:
        taken = _pass(work, writer)
        writer.commit()
    except BaseException:
        writer.abort()
        raise
    _clear_scratch(work)
    with work.transaction() as tx:
        known_digests.record(tx, work.input["image"], taken.digests)
    return {"object": name, "taken": {**vars(taken), "digests": ""}}


def _pass(work: Work, writer: Any) -> Taken:
    settings = work.rooms.settings.images
    intake = Intake(
        work.input["disk_format"],
        work.input["container_format"],
        size_limit=settings.size_cap,
        os_hash_algo=work.input["hash_algorithm"],
        largest_disk_bytes=settings.largest_disk,
    )
    for chunk in _source(work):
        work.check()
        intake.feed(chunk)
        writer.write(chunk)
    return intake.finish()


def _source(work: Work) -> Iterator[bytes]:
    backend, layer = backend_of(work), _layer(work)
    if work.input["disk_format"] == "raw":
        yield from backend.read(layer)
        return
    path = backend.pour(layer, work.input["disk_format"], _scratch(work, work.epoch), work.check)
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _layer(work: Work) -> Layer:
    with work.rooms.database.read() as tx:
        pinned = work.input["layers"]
        return layers.chain(tx, pinned[0] if pinned else volume_of(work)["head"])


def _scratch(work: Work, epoch: int) -> str:
    return f"volumes/{work.input['volume']}/{work.id}-{epoch}.scratch"


def _clear_scratch(work: Work) -> None:
    for epoch in range(1, work.epoch + 1):
        backend_of(work).delete(_scratch(work, epoch))


def _objects(work: Work) -> list[str]:
    return [f"images/{work.input['image']}/{work.id}-{epoch}" for epoch in range(1, work.epoch + 1)]


def discard(work: Work) -> None:
    """Nothing is left of the copy, nor of what was frozen for it."""
    _clear_bytes(work)
    release(work)


def _clear_bytes(work: Work) -> None:
    for name in _objects(work):
        store_of(work.rooms, work.input["store"]).delete(name)
    _clear_scratch(work)


def release(work: Work) -> None:
    """What was frozen for the copy is kept for it no more."""
    beneath.clear(work, work.input["layers"])


def record(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """The image is active."""
    given, copied = operation["input"], operation["results"]["copy"]
    taken = Taken(**{**copied["taken"], "digests": b""})
    places = {given["store"]: copied["object"]}
    receiving.complete(tx, given["image"], operation["id"], taken, places, operation["request_id"] or "")


def settle(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """An image that comes to nothing is gone; a volume that was read is what it was."""
    if operation["back"] or operation["state"] == State.UNDONE:
        unhashed.unwind(tx, operation["input"]["image"], operation["id"], operation["error"])
    if operation["resource_kind"] == "volume":
        tx.lock(volumes, [operation["resource_id"]])
        status.evaluate(tx, operation["resource_id"])


COPY_VOLUME_TO_IMAGE = Flow(
    KIND,
    (Step("copy", copy, undo=discard), Step("release", release)),
    settle=settle,
    record=record,
    deadline_s=DEADLINE_S,
    cancellable=True,
)
