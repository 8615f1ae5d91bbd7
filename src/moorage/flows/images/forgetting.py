"""
What is forgotten of images that are deleted: the digests of their chunks, once nothing is filled or read by them.

A copy that volumes lie on may take its digests from the image's until it is there, so whether they are needed is not
for the image's deletion to say.
"""

from sqlalchemy import delete, select

from moorage.database import Database, Transaction
from moorage.database.among import among
from moorage.images.records import digests, images, locations
from moorage.operations.periodic import Job
from moorage.operations.retention import EVERY_S, sweep
from moorage.volumes.records import copies


def retention(database: Database) -> tuple[Job, ...]:
    """The job that keeps digests from growing for ever."""
    return (Job("forget-digests", EVERY_S, lambda: sweep(database, forget, 0.0)),)


def forget(tx: Transaction, before: int, limit: int) -> int:
    """Drop the digests of up to `limit` images that were deleted before `before` and are nowhere; how many."""
    held = select(locations.c.id).where(locations.c.image_id == images.c.id).exists()
    copied = select(copies.c.id).where(copies.c.image_id == images.c.id).exists()
    gone = select(images.c.id).join(digests, digests.c.image_id == images.c.id)
    gone = gone.where(images.c.deleted_at <= before, ~held, ~copied).limit(limit)
    ids = [row["id"] for row in tx.all(gone)]
    if ids:
        tx.run(delete(digests).where(among(digests.c.image_id, ids)))
    return len(ids)
