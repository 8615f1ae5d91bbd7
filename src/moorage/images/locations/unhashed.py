"""
Images whose bytes are there before anybody has read them: a frozen volume, a location elsewhere.

Such an image is active, and says of its hashes nothing until a background operation has computed them from the bytes;
what is given instead, a guess or a promise, is never shown as one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moorage.database import Transaction
from moorage.images import allowance
from moorage.images.content import known_digests
from moorage.images.content.formats import Inspected
from moorage.images.content.intake import Taken
from moorage.images.image import FILLED, WAITING
from moorage.images.locations import location
from moorage.images.records import images
from moorage.images.service import move, touch
from moorage.operations import events


@dataclass(frozen=True)
class Known:
    """What is known of bytes that nobody has read."""

    size: int
    virtual_size: int | None = None
    read_as: str | None = None  #: None: nobody has looked, so that nothing is made of them yet
    os_hash_algo: str | None = None  #: that the value is of, or is going to be
    details: Mapping[str, Any] | None = None  #: what clients want to be remembered of the place
    os_hash_value: str | None = None  #: said by somebody whom the configuration trusts
    checksum: str | None = None  #: likewise


def appear(
    tx: Transaction, id: str, upload_id: str, known: Known, places: Mapping[str, str], request_id: str = ""
) -> bool:
    """The image that waits for this operation is active, its bytes in `places`; whether it still waited for them."""
    allowance.adjust(tx, upload_id, stored=known.size * len(places))
    image = awaited(tx, id, upload_id)
    if image is None:
        return False
    move(
        tx,
        image,
        "finish",
        upload_id=None,
        size=known.size,
        virtual_size=known.virtual_size,
        read_as=known.read_as,
        os_hash_algo=known.os_hash_algo,
        os_hash_value=known.os_hash_value,
        checksum=known.checksum,
    )
    for store, name in places.items():
        location.hold(tx, id, store, name, known.details)
    facts = {"size": known.size, "store": ",".join(places), "hashed": False}
    events.record(tx, "image.active", "image", id, image["owner"], request_id, **facts)
    return True


def learn(tx: Transaction, id: str, taken: Taken) -> None:
    """The image says what was computed from its bytes, unless it is gone or says so already."""
    image = unhashed(tx, id)
    if image is None:
        return
    touch(
        tx,
        id,
        checksum=taken.checksum,
        os_hash_algo=taken.os_hash_algo,
        os_hash_value=taken.os_hash_value,
        virtual_size=taken.virtual_size,
        read_as=taken.format,
    )
    known_digests.record(tx, id, taken.digests)
    events.record(tx, "image.hashed", "image", id, image["owner"], checksum=taken.checksum)


def look(tx: Transaction, id: str, found: Inspected) -> None:
    """It is known what the image's bytes are, and nothing else of them."""
    for image in tx.lock(images, [id]):
        if image["state"] in FILLED and image["read_as"] is None:
            touch(tx, id, virtual_size=found.virtual_size, read_as=found.format)
            events.record(tx, "image.inspected", "image", id, image["owner"], format=found.format)


def distrust(tx: Transaction, id: str, reason: str) -> None:
    """Only administrators read the image: its bytes are not what was said of them."""
    rows = tx.lock(images, [id])
    image = rows[0] if rows and rows[0]["state"] in FILLED else None
    if image is None or (image["checksum"] is not None and image["read_as"] is not None):
        return
    move(tx, image, "deactivate", read_as=None)
    events.record(tx, "image.distrusted", "image", id, image["owner"], reason=reason)


def unwind(tx: Transaction, id: str, upload_id: str, reason: str | None) -> None:
    """The image that was made for bytes which did not come is gone."""
    image = awaited(tx, id, upload_id)
    if image is not None:
        move(tx, image, "delete", upload_id=None, deleted_at=tx.now)
        known_digests.forget(tx, id)
        events.record(tx, "image.upload-failed", "image", id, image["owner"], reason=reason)


def awaited(tx: Transaction, id: str, upload_id: str) -> Mapping[str, Any] | None:
    """The image, locked, if it still waits for the bytes of this operation."""
    rows = tx.lock(images, [id])
    return rows[0] if rows and rows[0]["state"] in WAITING and rows[0]["upload_id"] == upload_id else None


def unhashed(tx: Transaction, id: str) -> Mapping[str, Any] | None:
    """The image, locked, if its bytes are there and nobody has read them yet."""
    rows = tx.lock(images, [id])
    return rows[0] if rows and rows[0]["state"] in FILLED and rows[0]["checksum"] is None else None
