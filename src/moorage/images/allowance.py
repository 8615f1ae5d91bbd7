"""
What the images of a project may take, and what they take.

What they take is counted from the rows when it is decided on, under the lock of the project's row, and is kept nowhere:
it cannot drift.  Bytes that are on their way are reserved by the operation that brings them in, and only for as long as
that goes forward, so that whoever dies holds nothing.

The project's row is locked before the image's: `receiving.begin` and `service.create` do both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, exists, func, insert, or_, select, update

from moorage.database import Transaction
from moorage.images.errors import ImageNotFound, OverQuota, OwnerChanged
from moorage.images.image import FILLED, WAITING, State
from moorage.images.locations import location
from moorage.images.records import images, locations, quotas, reservations
from moorage.images.settings import ImageSettings
from moorage.operations import events
from moorage.operations.records import OPEN, operations

MIB = 1 << 20

#: What is limited, as the API calls it, and the bytes that one of it has (1: it is counted).
UNITS: Mapping[str, int] = {
    "image_size_total": MIB,
    "image_stage_total": MIB,
    "image_count_total": 1,
    "image_count_uploading": 1,
}
_STAGING = frozenset({State.UPLOADING, State.IMPORTING})

Limits = tuple[str | None, Mapping[str, int]]  #: of an image's owner, whose row is locked

c, l, r = images.c, locations.c, reservations.c  # noqa: E741


@dataclass(frozen=True)
class Room:
    """
    What an operation will take: bytes in all stores together, and bytes that wait to be imported; None: as many as it
    turns out to be, 0: none.
    """

    settings: ImageSettings
    stored: int | None = 0
    staged: int | None = 0


def limits(tx: Transaction, project_id: str | None, settings: ImageSettings) -> dict[str, int]:
    """The project's limits, or those of projects that have none of their own; -1: no limit."""
    own = tx.value(select(quotas.c.limits).where(quotas.c.id == project_id)) if project_id else None
    return {**settings.quota_defaults(), **(own or {})}


def usage(tx: Transaction, project_id: str | None) -> dict[str, int]:
    """What the project takes: bytes and counts."""
    if project_id is None:
        return dict.fromkeys(UNITS, 0)
    return {name: _used(tx, project_id, name) for name in UNITS}


def lock(tx: Transaction, project_id: str | None, settings: ImageSettings) -> dict[str, int]:
    """The project's limits; where there are any, nobody else decides on its use before the transaction ends."""
    if project_id is None:
        return {}
    rows = tx.lock(quotas, [project_id])
    found = {**settings.quota_defaults(), **(rows[0]["limits"] if rows else {})}
    if not rows and any(limit >= 0 for limit in found.values()):
        tx.enter_unless_there(quotas, {"id": project_id, "limits": {}})
        tx.lock(quotas, [project_id])
    return {name: limit for name, limit in found.items() if limit >= 0}


def lock_of(tx: Transaction, image_id: str, settings: ImageSettings) -> Limits:
    """
    The owner of the image, whose row is locked, and his limits: before the image's row is. An image that comes into
    being a moment later was not there when it was asked for.
    """
    row = tx.one(select(c.owner).where(c.id == image_id))
    if row is None:
        raise ImageNotFound(image=image_id[:64])
    return row["owner"], lock(tx, row["owner"], settings)


def check_count(tx: Transaction, project_id: str | None, settings: ImageSettings) -> None:
    """Refuse one image more than the project may have."""
    _check(tx, project_id, lock(tx, project_id, settings), "image_count_total", 1)


def reserve(tx: Transaction, image: Mapping[str, Any], operation: str, room: Room, found: Limits) -> None:
    """
    The operation may bring in what it said; `found` is what `lock_of` gave. `OverQuota` where the project has no room.
    """
    project_id, limit = _owner_of(image, found), found[1]
    if project_id is None or not limit:
        return
    _forget(tx, project_id)
    # Where sizes are unknown, what is there already must be below the limit; the rest is found out at the end.
    _check(tx, project_id, limit, "image_size_total", 1 if room.stored is None else room.stored)
    _check(tx, project_id, limit, "image_stage_total", 1 if room.staged is None else room.staged)
    values = {
        "image_id": image["id"],
        "project_id": project_id,
        "stored": room.stored,
        "stored_limit": _bytes(limit, "image_size_total"),
        "staged": room.staged,
        "staged_limit": _bytes(limit, "image_stage_total"),
    }
    tx.run(insert(reservations).values(id=operation, **values))
    _check_uploading(tx, project_id, limit, image)


def _check_uploading(tx: Transaction, project_id: str, limit: Mapping[str, int], image: Mapping[str, Any]) -> None:
    """Refuse one more image whose data come in at once; the image at hand may count already."""
    name = "image_count_uploading"
    if name not in limit:
        return
    others = _used(tx, project_id, name, but=image["id"])
    if others + 1 > limit[name]:
        raise OverQuota(project=project_id, limit=limit[name], what=name, used=others, asked=1)


def check_stored(tx: Transaction, image: Mapping[str, Any], more: int, found: Limits) -> None:
    """Refuse so many bytes more in stores, where they are already; `found` is what `lock_of` gave."""
    project_id = _owner_of(image, found)
    _check(tx, project_id, found[1], "image_size_total", more)


def _owner_of(image: Mapping[str, Any], found: Limits) -> str | None:
    """The owner of the locked image, who is still the one whose limits were locked before."""
    if found[0] != image["owner"]:
        raise OwnerChanged(image=image["id"])
    return found[0]


def left(tx: Transaction, operation: str, copies: int = 1) -> int | None:
    """
    How many bytes the operation may bring in, each of them stored in so many copies, before it is certainly over a
    limit, as things stand; None: no limit.
    """
    row = tx.one(select(reservations).where(r.id == operation))
    if row is None:
        return None
    rooms = []
    for kind, name, times in (("stored", "image_size_total", copies), ("staged", "image_stage_total", 1)):
        if row[f"{kind}_limit"] is not None and row[kind] != 0:
            free = row[f"{kind}_limit"] - _used(tx, row["project_id"], name, without=operation)
            rooms.append(max(0, free) // times)
    return min(rooms) if rooms else None


def adjust(tx: Transaction, operation: str, *, stored: int | None = None, staged: int | None = None) -> None:
    """
    What the operation brought in is as much as that, in all; `OverQuota` where it had not reserved so much and there is
    no room. Call it before the image's row is locked.
    """
    row = tx.one(select(reservations).where(r.id == operation))
    if row is None:
        return
    for kind, name, size in (("stored", "image_size_total", stored), ("staged", "image_stage_total", staged)):
        limit, reserved = row[f"{kind}_limit"], row[kind]
        if size is None or limit is None:
            continue
        if reserved is None or size > reserved:
            tx.lock(quotas, [row["project_id"]])
            used = _used(tx, row["project_id"], name, without=operation)
            _refuse_over(row["project_id"], name, limit, used, size)
        tx.run(update(reservations).where(r.id == operation).values({kind: size}))


def hand_over(tx: Transaction, operation: str, to: str) -> None:
    """What an operation has reserved is reserved by the one that goes on with its work."""
    tx.run(update(reservations).where(r.id == operation).values(id=to))


def set_limits(tx: Transaction, project_id: str, changes: Mapping[str, int]) -> None:
    """The project has these limits, and as before those that are not named."""
    tx.enter_unless_there(quotas, {"id": project_id, "limits": {}})
    row = tx.lock(quotas, [project_id])[0]
    tx.run(update(quotas).where(quotas.c.id == project_id).values(limits={**row["limits"], **changes}))
    events.record(tx, "image-quota.changed", "quota", project_id, project_id, limits=dict(changes))


def reset_limits(tx: Transaction, project_id: str) -> None:
    """The project has the default limits again."""
    if tx.lock(quotas, [project_id]):
        tx.run(update(quotas).where(quotas.c.id == project_id).values(limits={}))
        events.record(tx, "image-quota.reset", "quota", project_id, project_id)


def _check(tx: Transaction, project_id: str | None, limit: Mapping[str, int], name: str, more: int) -> None:
    if project_id is not None and name in limit and more:
        _refuse_over(project_id, name, limit[name] * UNITS[name], _used(tx, project_id, name), more)


def _refuse_over(project_id: str, name: str, limit: int, used: int, more: int) -> None:
    if used + more > limit:
        unit = UNITS[name]
        what = name if unit == 1 else f"MiB of {name}"
        raise OverQuota(
            project=project_id, limit=limit // unit, what=what, used=-(-used // unit), asked=-(-more // unit)
        )


def _bytes(limit: Mapping[str, int], name: str) -> int | None:
    return limit[name] * UNITS[name] if name in limit else None


def _used(tx: Transaction, project_id: str, name: str, *, without: str | None = None, but: str | None = None) -> int:
    """What the project takes of one thing, without an operation's reservation, or but for one image."""
    mine = (c.owner == project_id) & (c.state != State.DELETED)
    if but is not None:
        mine &= c.id != but
    if name == "image_count_total":
        return int(tx.value(select(func.count()).select_from(images).where(mine)))
    if name == "image_count_uploading":
        copied = exists().where(r.image_id == c.id, _open())
        coming = or_(c.state.in_(WAITING), c.state.in_(FILLED) & copied)
        return int(tx.value(select(func.count()).select_from(images).where(mine, coming)))
    if name == "image_size_total":
        held = images.join(locations, (l.image_id == c.id) & (l.state == location.State.HELD))
        there = select(func.sum(c.size)).select_from(held).where(mine)
        return int(tx.value(there) or 0) + _reserved(tx, project_id, r.stored, without)
    waiting = select(func.sum(c.size)).where(mine, c.state.in_(_STAGING))
    return int(tx.value(waiting) or 0) + _reserved(tx, project_id, r.staged, without)


def _reserved(tx: Transaction, project_id: str, column: Any, without: str | None) -> int:
    query = select(func.sum(column)).where(r.project_id == project_id, _open())
    if without is not None:
        query = query.where(r.id != without)
    return int(tx.value(query) or 0)


def _open() -> Any:
    """Whether a reservation's operation goes forward."""
    o = operations.c
    return exists().where(o.id == r.id, o.state.in_(OPEN), o.back.is_(False))


def _forget(tx: Transaction, project_id: str) -> None:
    """Drop the project's reservations that do not count any more."""
    o = operations.c
    under_way = exists().where(o.id == r.id, o.state.in_(OPEN))
    tx.run(delete(reservations).where(r.project_id == project_id, ~under_way))
