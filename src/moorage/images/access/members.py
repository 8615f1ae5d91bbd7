"""
Members of an image: the projects that it is shared with, and what they make of it.

The owner says with whom; the project alone says whether it wants the image in its lists.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from moorage.core.caller import Caller
from moorage.core.errors import Forbidden
from moorage.database import Transaction
from moorage.images.access import rules
from moorage.images.access.visibility import find, find_locked, membership
from moorage.images.errors import MemberNotFound, MemberTaken, NotShared
from moorage.images.image import Acceptance, Visibility
from moorage.images.quota import check_members
from moorage.images.records import members
from moorage.images.settings import ImageSettings
from moorage.operations import events

m = members.c


def share(tx: Transaction, caller: Caller, id: str, project_id: str, settings: ImageSettings) -> Mapping[str, Any]:
    """The image is shared with the project, which is yet to accept it."""
    image = find_locked(tx, caller, id)
    rules.permit_on(caller, rules.ADD_MEMBER, image)
    _must_be_shared(image)
    if membership(tx, id, project_id) is not None:
        raise MemberTaken(member=project_id, image=id)
    count = tx.value(select(func.count()).select_from(members).where(m.image_id == id))
    check_members(int(count) + 1, settings)
    times = {"created_at": tx.now, "updated_at": tx.now}
    tx.run(insert(members).values(image_id=id, project_id=project_id, acceptance=Acceptance.PENDING, **times))
    events.record(tx, "image.shared", "image", id, image["owner"], caller.request_id, member=project_id)
    return _get(tx, id, project_id)


def index(tx: Transaction, caller: Caller, id: str) -> Sequence[Mapping[str, Any]]:
    """All members, for the owner; a member sees itself."""
    image = find(tx, caller, id)
    rules.permit(caller, rules.GET_MEMBERS)
    _must_be_shared(image)
    query = select(members).where(m.image_id == id)
    if not caller.sees(image["owner"]):
        query = query.where(m.project_id == caller.project_id)
    return tx.all(query.order_by(m.created_at, m.project_id))


def show(tx: Transaction, caller: Caller, id: str, project_id: str) -> Mapping[str, Any]:
    """One member, for the owner and for itself."""
    image = find(tx, caller, id)
    rules.permit(caller, rules.GET_MEMBERS)
    if not caller.sees(image["owner"]) and project_id != caller.project_id:
        raise MemberNotFound(member=project_id, image=id)
    return _get(tx, id, project_id)


def answer(tx: Transaction, caller: Caller, id: str, project_id: str, acceptance: str) -> Mapping[str, Any]:
    """The project has accepted the image, or rejected it, or wants to think about it."""
    image = find_locked(tx, caller, id)
    rules.permit(caller, rules.GET)
    if not caller.may(rules.SET_MEMBER, project_id):
        raise Forbidden(action=rules.SET_MEMBER.name)
    _get(tx, id, project_id)
    mine = update(members).where(m.image_id == id, m.project_id == project_id)
    tx.run(mine.values(acceptance=acceptance, updated_at=tx.now))
    facts = {"member": project_id, "acceptance": acceptance}
    events.record(tx, "image.answered", "image", id, image["owner"], caller.request_id, **facts)
    return _get(tx, id, project_id)


def unshare(tx: Transaction, caller: Caller, id: str, project_id: str) -> None:
    """The image is not shared with the project any more."""
    image = find_locked(tx, caller, id)
    rules.permit_on(caller, rules.DROP_MEMBER, image)
    _must_be_shared(image)
    if not tx.run(delete(members).where(m.image_id == id, m.project_id == project_id)):
        raise MemberNotFound(member=project_id, image=id)
    events.record(tx, "image.unshared", "image", id, image["owner"], caller.request_id, member=project_id)


def _must_be_shared(image: Mapping[str, Any]) -> None:
    if image["visibility"] != Visibility.SHARED:
        raise NotShared(image=image["id"], visibility=image["visibility"])


def _get(tx: Transaction, id: str, project_id: str) -> Mapping[str, Any]:
    row = membership(tx, id, project_id)
    if row is None:
        raise MemberNotFound(member=project_id, image=id)
    return row
