"""The digests of an image's chunks, as they were recorded when its bytes came in; not every image has them."""

from sqlalchemy import delete, insert, select

from moorage.database import Transaction
from moorage.images.content.digests import CHUNK_BYTES, DIGEST_BYTES
from moorage.images.records import digests

d = digests.c


def of(tx: Transaction, image_id: str, size: int) -> bytes | None:
    """The SHA-256 of each chunk of the image, which has `size` bytes; None where they are not known."""
    found = tx.value(select(d.digests).where(d.image_id == image_id))
    if found is None or len(found) != -(-size // CHUNK_BYTES) * DIGEST_BYTES:
        return None
    return bytes(found)


def record(tx: Transaction, image_id: str, found: bytes) -> None:
    """These are they, whatever was recorded before, and whether or not the bytes are visible yet."""
    forget(tx, image_id)
    tx.run(insert(digests).values(image_id=image_id, digests=found))


def keep(tx: Transaction, image_id: str, found: bytes) -> None:
    """Record them, unless there are some. The image's row is locked."""
    if tx.value(select(d.image_id).where(d.image_id == image_id)) is None:
        tx.run(insert(digests).values(image_id=image_id, digests=found))


def forget(tx: Transaction, image_id: str) -> None:
    """None are known any more: the bytes did not come."""
    tx.run(delete(digests).where(d.image_id == image_id))
