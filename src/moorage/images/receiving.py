"""
The bytes of an image coming in, as its rows see it: from queued over saving, or importing, to active, or back.

An image knows the operation that its bytes come in with; whoever comes late, for an operation that is not that one any
more, changes nothing.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import insert, select

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.images import location, rules
from moorage.images.errors import FormatsUnset, GoneMeanwhile
from moorage.images.image import LIFE, WAITING
from moorage.images.intake import Taken
from moorage.images.records import digests, images
from moorage.images.service import move
from moorage.images.visibility import find_locked
from moorage.operations import events


def begin(tx: Transaction, caller: Caller, id: str, upload_id: str, event: str = "receive") -> Mapping[str, Any]:
    """The image waits for the bytes of one operation, and for no other's, by this move. Its row, as it was."""
    image = find_locked(tx, caller, id)
    rules.permit_on(caller, rules.UPLOAD, image)
    move(tx, image, event, upload_id=upload_id)
    if not image["disk_format"] or not image["container_format"]:
        raise FormatsUnset()
    events.record(tx, f"image.{LIFE[event].target}", "image", id, image["owner"], caller.request_id)
    return image


def waits(tx: Transaction, id: str, upload_id: str) -> bool:
    """Whether the image still waits for the bytes of this operation."""
    waiting = select(images.c.upload_id).where(images.c.id == id, images.c.state.in_(WAITING))
    return bool(tx.value(waiting) == upload_id)


def complete(
    tx: Transaction, id: str, upload_id: str, taken: Taken, places: Mapping[str, str], request_id: str
) -> None:
    """
    The image is active and its bytes are in `places` (store: object), all at once; `GoneMeanwhile` where it was
    deleted.
    """
    image = _receiving(tx, id, upload_id)
    if image is None:
        raise GoneMeanwhile(image=id)
    move(
        tx,
        image,
        "finish",
        upload_id=None,
        size=taken.size,
        virtual_size=taken.virtual_size,
        checksum=taken.checksum,
        os_hash_algo=taken.os_hash_algo,
        os_hash_value=taken.os_hash_value,
        read_as=taken.format,
    )
    for store, name in places.items():
        location.hold(tx, id, store, name)
    tx.run(insert(digests).values(image_id=id, digests=taken.digests))
    stores = ",".join(places)
    events.record(tx, "image.active", "image", id, image["owner"], request_id, size=taken.size, store=stores)


def fall_back(tx: Transaction, id: str, upload_id: str, reason: str | None) -> None:
    """The image is queued again, as if the operation had never begun; nothing happens where that is so already."""
    image = _receiving(tx, id, upload_id)
    if image is not None:
        move(tx, image, "fall-back", upload_id=None)
        events.record(tx, "image.upload-failed", "image", id, image["owner"], reason=reason)


def _receiving(tx: Transaction, id: str, upload_id: str) -> Mapping[str, Any] | None:
    """The image, if it still waits for the bytes of this operation."""
    rows = tx.lock(images, [id])
    if not rows or rows[0]["state"] not in WAITING or rows[0]["upload_id"] != upload_id:
        return None
    return rows[0]
