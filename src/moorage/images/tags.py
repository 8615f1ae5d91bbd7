"""Tags of an image, one at a time."""

from sqlalchemy import delete, func, insert, select

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.images.access import rules
from moorage.images.access.visibility import find_locked
from moorage.images.errors import TagNotFound
from moorage.images.quota import check_tags
from moorage.images.records import tags
from moorage.images.service import touch
from moorage.images.settings import ImageSettings
from moorage.operations import events

t = tags.c


def add(tx: Transaction, caller: Caller, id: str, tag: str, settings: ImageSettings) -> None:
    """The image has the tag; to have had it already is fine."""
    image = find_locked(tx, caller, id)
    rules.permit_on(caller, rules.MODIFY, image)
    there = select(func.count()).select_from(tags).where(t.image_id == id)
    if tx.value(there.where(t.tag == tag)):
        return
    check_tags(int(tx.value(there)) + 1, settings)
    tx.run(insert(tags).values(image_id=id, tag=tag))
    touch(tx, id)
    events.record(tx, "image.updated", "image", id, image["owner"], caller.request_id)


def remove(tx: Transaction, caller: Caller, id: str, tag: str) -> None:
    """The image has not got the tag any more."""
    image = find_locked(tx, caller, id)
    rules.permit_on(caller, rules.MODIFY, image)
    if not tx.run(delete(tags).where(t.image_id == id, t.tag == tag)):
        raise TagNotFound(image=id)
    touch(tx, id)
    events.record(tx, "image.updated", "image", id, image["owner"], caller.request_id)
