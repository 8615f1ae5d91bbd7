"""
Who sees which images.

By id one sees one's own, public and community images, and those shared with one's project, whatever it makes of that.
A list shows less: shared images as the project has accepted them, and community images where they are asked for.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, exists, false, not_, or_, select, true

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.database.fixed import Fixed
from moorage.images.errors import ImageNotFound
from moorage.images.image import Acceptance, State, Visibility, is_id
from moorage.images.records import images, members

c = images.c
m = members.c

_MEMBERSHIP = Fixed(select(members).where(m.image_id == bindparam("image"), m.project_id == bindparam("project")))


def find(tx: Transaction, caller: Caller, id: str) -> Mapping[str, Any]:
    """The image, for a caller who sees it; for anybody else there is none."""
    row = tx.get(images, id) if is_id(id) else None
    return _seen(tx, caller, id, row)


def find_locked(tx: Transaction, caller: Caller, id: str) -> Mapping[str, Any]:
    """The image, for a caller who sees it; nobody else changes it before the transaction ends."""
    rows = tx.lock(images, [id]) if is_id(id) else []
    return _seen(tx, caller, id, rows[0] if rows else None)


def _seen(tx: Transaction, caller: Caller, id: str, row: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if row is None or row["state"] == State.DELETED or not sees(tx, caller, row):
        raise ImageNotFound(image=id[:64])
    return row


def sees(tx: Transaction, caller: Caller, image: Mapping[str, Any]) -> bool:
    """Whether the image may be named to the caller."""
    if caller.sees(image["owner"]) or image["visibility"] in (Visibility.PUBLIC, Visibility.COMMUNITY):
        return True
    return image["visibility"] == Visibility.SHARED and membership(tx, image["id"], caller.project_id) is not None


def membership(tx: Transaction, image_id: str, project_id: str | None) -> Mapping[str, Any] | None:
    """The row by which the image is shared with the project."""
    if project_id is None:
        return None
    return tx.one(_MEMBERSHIP, {"image": image_id, "project": project_id})


def listed(caller: Caller, visibility: str | None, acceptance: str = Acceptance.ACCEPTED) -> ColumnElement[bool]:
    """The condition for a list of one visibility, of all that can be seen ("all"), or of what usually matters."""
    own = true() if caller.is_admin else _own(caller)
    shared = and_(c.visibility == Visibility.SHARED, or_(own, _shared_with(caller, acceptance)))
    public, community = c.visibility == Visibility.PUBLIC, c.visibility == Visibility.COMMUNITY
    match visibility:
        case Visibility.PUBLIC:
            return public
        case Visibility.COMMUNITY:
            return community
        case Visibility.PRIVATE:
            return and_(c.visibility == Visibility.PRIVATE, own)
        case Visibility.SHARED:
            return shared
        case "all":
            return or_(own, public, community, shared)
    if caller.is_admin:
        return or_(not_(community), _own(caller))
    return or_(own, public, shared)


def _own(caller: Caller) -> ColumnElement[bool]:
    return false() if caller.project_id is None else c.owner == caller.project_id


def _shared_with(caller: Caller, acceptance: str) -> ColumnElement[bool]:
    if caller.project_id is None:
        return false()
    accepted = true() if acceptance == "all" else m.acceptance == acceptance
    return exists().where(m.image_id == c.id, m.project_id == caller.project_id, accepted)
