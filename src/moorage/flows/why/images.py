"""Why an image is as it is."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, union

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.flows.images.locations import hash_image
from moorage.flows.why.answer import MOST, Part, Why, own, seen, since
from moorage.images.image import State
from moorage.images.imports import task
from moorage.images.imports.task import StoreState
from moorage.images.records import images
from moorage.operations import journal
from moorage.volumes.copies import UNFINISHED
from moorage.volumes.records import copies, layers, volumes

#: Events that are a change of its state.
CHANGES = tuple(
    f"image.{told}"
    for told in (
        "created saving uploading importing active upload-failed import-failed deactivated distrusted reactivated "
        "deleted".split()
    )
)

UNHASHED = "Its bytes are there; its hashes are being computed, and it shows none until then."
UNREAD = "Its bytes are there, as somebody has said where they are; nobody has hashed them."

# fmt: off
MEANING = {
    "queued":      "It has no bytes yet.",
    "saving":      "Its bytes are being uploaded.",
    "uploading":   "Its bytes are being staged, or are staged and wait until somebody imports them.",
    "importing":   "Its bytes are being imported.",
    "active":      "Its bytes are there.",
    "deactivated": "Its bytes are there, and only administrators may read them.",
    "deleted":     "It is deleted.",
    "killed":      "Its upload failed.",
}
# fmt: on


def why(tx: Transaction, caller: Caller, id: str) -> Why:
    """What the image's state means, and which volumes lie on its bytes."""
    row = seen(tx, caller, images, "owner", "image", id)
    meaning = MEANING.get(row["state"], "It is in a state of its own.")
    doing, hashing = journal.open_on(tx, "image", [id]), hash_image.under_way(tx, id)
    if row["state"] == State.ACTIVE and row["checksum"] is None:
        hashed = any(one["input"]["hash_algorithm"] for one in hashing)
        meaning = UNHASHED if hashed else UNREAD
    answer = Why("image", id, row["state"], since(tx, "image", row, CHANGES), meaning)
    own(tx, answer, caller, doing or hashing)  # nothing waits for the hashes
    _tell_import(tx, answer, row)
    its = union(
        select(layers.c.id).where(layers.c.image_id == id),
        select(copies.c.layer).where(copies.c.image_id == id, copies.c.state.in_(UNFINISHED)),
    ).scalar_subquery()
    above = select(layers.c.id).where(layers.c.parent.in_(its))
    c = volumes.c
    lying = union(*(select(c.id, c.project_id).where(on) for on in (c.base.in_(its), c.head.in_(above))))
    for volume in tx.all(lying.limit(MOST)):
        if caller.sees(volume["project_id"]):
            said = "It lies on the bytes of this image, which stay as long as it does."
            answer.blockers.append(Part("volume", volume["id"], said))
    return answer


# fmt: off
STORES = {
    StoreState.WAITING: "It is still to get the bytes.",
    StoreState.DONE:    "It has the bytes.",
    StoreState.FAILED:  "It did not get the bytes.",
    StoreState.DROPPED: "It got nothing, since another store failed.",
}
# fmt: on


def _tell_import(tx: Transaction, answer: Why, row: Mapping[str, Any]) -> None:
    """How far the last import, or copy, is or got: which stores wait for the bytes, and why some do not have them."""
    last = task.get(tx, row["import_id"]) if row["import_id"] is not None else None
    if last is None:
        return
    if last["state"] in task.OPEN and last["message"]:
        answer.sentence += f" {last['message']}."
    elif last["state"] == task.State.FAILURE:
        answer.sentence += f" Its last import failed: {last['message']}"
    for store in task.stores_of(tx, [last["id"]]):
        said = STORES[store["state"]] + (f" {store['reason']}" if store["reason"] else "")
        if store["state"] == StoreState.WAITING:
            answer.waiting.append(Part("store", store["store"], said))
        elif store["state"] != StoreState.DONE:
            answer.blockers.append(Part("store", store["store"], said))
