"""
The bytes of an image coming in, as its rows see it: from queued over saving, or importing, to active, or back.

An image knows the operation that its bytes come in with; whoever comes late, for an operation that is not that one any
more, changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert, select

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.images import allowance
from moorage.images.access import rules
from moorage.images.access.visibility import find_locked
from moorage.images.allowance import Room
from moorage.images.content import known_digests
from moorage.images.content.intake import Taken
from moorage.images.errors import FormatsUnset, GoneMeanwhile
from moorage.images.image import LIFE, WAITING, State
from moorage.images.locations import location
from moorage.images.records import images, properties
from moorage.images.service import move, touch
from moorage.images.signatures import signed
from moorage.operations import events


@dataclass(frozen=True)
class Learnt:
    """What an import has made known of an image that its owner did not say, or said otherwise."""

    disk_format: str
    container_format: str
    properties: Mapping[str, str] = field(default_factory=dict)  #: taken over where the image has none such


def begin(
    tx: Transaction,
    caller: Caller,
    id: str,
    upload_id: str,
    event: str = "receive",
    *,
    room: Room,
    formats_come: bool = False,
) -> Mapping[str, Any]:
    """
    The image waits for the bytes of one operation, and for no other's, by this move; its owner has room for them, and
    what became of an earlier import is shown no longer. Its row, as it was. `formats_come`: it need not have formats
    yet.
    """
    found = allowance.lock_of(tx, id, room.settings)
    image = find_locked(tx, caller, id)
    rules.permit_on(caller, rules.UPLOAD, image)
    move(tx, image, event, upload_id=upload_id, import_id=None)
    if not formats_come and not (image["disk_format"] and image["container_format"]):
        raise FormatsUnset()
    allowance.reserve(tx, image, upload_id, room, found)
    events.record(tx, f"image.{LIFE[event].target}", "image", id, image["owner"], caller.request_id)
    return image


def waits(tx: Transaction, id: str, upload_id: str) -> bool:
    """Whether the image still waits for the bytes of this operation."""
    waiting = select(images.c.upload_id).where(images.c.id == id, images.c.state.in_(WAITING))
    return bool(tx.value(waiting) == upload_id)


def hold_still(tx: Transaction, id: str, upload_id: str, size: int) -> None:
    """The image's bytes are staged, and no operation has it; `GoneMeanwhile` where it was deleted."""
    image = _receiving(tx, id, upload_id)
    if image is None:
        raise GoneMeanwhile(image=id)
    touch(tx, id, upload_id=None, size=size)
    events.record(tx, "image.staged", "image", id, image["owner"], size=size)


def complete(
    tx: Transaction,
    id: str,
    upload_id: str,
    taken: Taken,
    places: Mapping[str, str],
    request_id: str,
    learnt: Learnt | None = None,
) -> None:
    """
    The image is active and its bytes are in `places` (store: object), all at once, with what was `learnt` on the way;
    `GoneMeanwhile` where it was deleted. Without digests in `taken`, those that are kept already stand.
    """
    allowance.adjust(tx, upload_id, stored=taken.size * len(places), staged=0)
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
        **_formats(learnt),
    )
    for store, name in places.items():
        location.hold(tx, id, store, name)
    if learnt is not None:
        _add_properties(tx, id, learnt.properties)
    if taken.digests or not taken.size:
        known_digests.record(tx, id, taken.digests)
    signed.keep(tx, id, taken.hashes)
    stores = ",".join(places)
    events.record(tx, "image.active", "image", id, image["owner"], request_id, size=taken.size, store=stores)


def fall_back(tx: Transaction, id: str, upload_id: str, reason: str | None) -> None:
    """The image is queued again, as if the operation had never begun; nothing happens where that is so already."""
    image = _receiving(tx, id, upload_id)
    if image is not None:
        what = "import" if image["state"] == State.IMPORTING else "upload"
        move(tx, image, "fall-back", upload_id=None, size=None)
        known_digests.forget(tx, id)
        events.record(tx, f"image.{what}-failed", "image", id, image["owner"], reason=reason)


def _formats(learnt: Learnt | None) -> dict[str, str]:
    if learnt is None:
        return {}
    return {"disk_format": learnt.disk_format, "container_format": learnt.container_format}


def _add_properties(tx: Transaction, id: str, added: Mapping[str, str]) -> None:
    """The properties that came along, but for those that the image has: what its owner says stands."""
    query = select(properties.c.name).where(properties.c.image_id == id)
    there = {row["name"] for row in tx.all(query)}
    fresh = [{"image_id": id, "name": name, "value": value} for name, value in added.items() if name not in there]
    if fresh:
        tx.run(insert(properties), fresh)


def _receiving(tx: Transaction, id: str, upload_id: str) -> Mapping[str, Any] | None:
    """The image, if it still waits for the bytes of this operation."""
    rows = tx.lock(images, [id])
    if not rows or rows[0]["state"] not in WAITING or rows[0]["upload_id"] != upload_id:
        return None
    return rows[0]
