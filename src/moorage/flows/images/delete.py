"""
Delete an image: from the call on it is gone for everybody; its bytes follow.

What is under way on the image is cancelled first; the journal lets this operation begin when that is over (but for the
hashing, which only reads, and learns nothing any more).  Bytes that
volumes lie on are left to them, which is decided under the lock of the image's row: the last volume takes them along.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Problem
from moorage.database import Transaction
from moorage.flows.images.clear import STAGING, clear, needed
from moorage.flows.images.locations import hash_image
from moorage.flows.images.of_volumes import beneath
from moorage.flows.images.stores import store_of
from moorage.images import service
from moorage.images.imports import staging
from moorage.images.locations import location
from moorage.images.records import images
from moorage.images.signatures import signed
from moorage.operations import journal
from moorage.operations.flow import Flow, Step, Work
from moorage.volumes import layers

QUEUE = "any"


def begin_delete(tx: Transaction, caller: Caller, id: str, host_queue: str = QUEUE) -> str:
    """
    Delete the image for everybody who asks; the operation that clears its bytes away, in `host_queue` where layers of a
    volume are among them.
    """
    incoming = service.may_delete(tx, caller, id)["upload_id"]
    if incoming:
        journal.cancel(tx, incoming)  # it may be a volume's
    for operation in (*journal.open_on(tx, "image", [id]), *hash_image.under_way(tx, id)):
        journal.cancel(tx, operation["id"])
    image = service.mark_deleted(tx, caller, id)
    below = beneath.of(tx, id)
    return journal.begin(
        tx,
        DELETE_IMAGE.kind,
        "image",
        id,
        queue=host_queue if below else QUEUE,
        project_id=image["owner"],
        input={"layers": below},
        caller=caller,
    )


def remove(work: Work) -> Mapping[str, Any]:
    """The image has no bytes any more but those that volumes lie on."""
    left, removed = [], []
    with work.transaction() as tx:
        tx.lock(images, [work.resource_id])
        for row in location.held(tx, work.resource_id):
            if row["adopted"]:
                continue
            if needed(tx, row["store"], row["object"]):
                location.forsake(tx, row["id"])
                left.append(row["object"])
            else:
                removed.append(row)
        waiting = [row["object"] for row in staging.of_image(tx, work.resource_id)]
    for name in waiting:
        clear(work, STAGING, name)
    _empty(work, removed)
    with work.transaction() as tx:
        for row in removed:
            location.forget(tx, row["store"], row["object"])
            layers.strike(tx, row["object"])
        location.disown(tx, work.resource_id)
        signed.forget(tx, work.resource_id)
    beneath.clear(work, work.input.get("layers", ()))
    return {"left_to_volumes": left}


def _empty(work: Work, rows: Iterable[Mapping[str, Any]]) -> None:
    """No store has the objects any more. One that is down keeps none of the others from being asked."""
    problem = None
    for row in rows:
        try:
            store_of(work.rooms, row["store"]).delete(row["object"])
        except Problem as failed:
            problem = failed
    if problem is not None:
        raise problem


DELETE_IMAGE = Flow("delete-image", (Step("remove", remove, forward_only=True),))
