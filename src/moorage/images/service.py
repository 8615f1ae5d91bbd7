"""
The verbs of images: plain functions of a transaction, each of which authorises, checks and changes, all or nothing.

What a verb decides on it locks first; the image's row stands for everything that belongs to the image.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert, select, update

from moorage.core.caller import Caller, Rule
from moorage.core.errors import Blocker
from moorage.core.ids import new_uuid
from moorage.database import Transaction
from moorage.database.among import among
from moorage.images import allowance, open_formats
from moorage.images.access import protections, rules
from moorage.images.access.protections import Action
from moorage.images.access.visibility import find, find_locked
from moorage.images.errors import ActionRefused, IdTaken, Protected, TransitionRefused
from moorage.images.image import LIFE, State, Visibility
from moorage.images.imports.task import Progress, progress_of
from moorage.images.locations import location
from moorage.images.quota import check_properties, check_tags
from moorage.images.records import images, locations, properties, tags
from moorage.images.settings import ImageSettings
from moorage.operations import events, journal

c = images.c


@dataclass(frozen=True)
class Image:
    """An image with all that belongs to it, as views need it."""

    row: Mapping[str, Any]
    properties: Mapping[str, str | None] = field(default_factory=dict)
    tags: Sequence[str] = ()
    stores: Sequence[str] = ()  #: where its bytes are
    progress: Progress | None = None  #: of its last import, or copy
    places: Sequence[Mapping[str, Any]] = ()  #: its locations, in the order in which they came


def gather(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> list[Image]:
    """The images of these rows, with what belongs to them."""
    ids = [row["id"] for row in rows]
    if not ids:
        return []
    kept: dict[str, dict[str, str | None]] = {id: {} for id in ids}
    tagged: dict[str, list[str]] = {id: [] for id in ids}
    placed: dict[str, list[Mapping[str, Any]]] = {id: [] for id in ids}
    p, t, l = properties.c, tags.c, locations.c  # noqa: E741
    for row in tx.all(select(properties).where(among(p.image_id, ids)).order_by(p.name)):
        kept[row["image_id"]][row["name"]] = row["value"]
    for row in tx.all(select(tags).where(among(t.image_id, ids)).order_by(t.tag)):
        tagged[row["image_id"]].append(row["tag"])
    held = select(locations).where(among(l.image_id, ids), l.state == location.State.HELD)
    for row in tx.all(held.order_by(l.created_at, l.id)):
        placed[row["image_id"]].append(row)
    under_way = progress_of(tx, [row["import_id"] for row in rows if row["import_id"] is not None])
    return [
        Image(
            row,
            kept[row["id"]],
            tagged[row["id"]],
            sorted({place["store"] for place in placed[row["id"]]}),
            under_way.get(row["import_id"]),
            placed[row["id"]],
        )
        for row in rows
    ]


def show(tx: Transaction, caller: Caller, id: str) -> Image:
    """The image, for a caller who sees it."""
    rules.permit(caller, rules.GET)
    return gather(tx, [find(tx, caller, id)])[0]


@dataclass(frozen=True)
class New:
    """What is asked of a new image; the values are of the right kind."""

    id: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)  #: name, visibility, disk_format, ...
    owner: str | None = None  #: None: the caller's project
    properties: Mapping[str, str | None] = field(default_factory=dict)
    tags: Collection[str] = ()


def create(tx: Transaction, caller: Caller, new: New, settings: ImageSettings) -> Image:
    """A queued image, which waits for its bytes."""
    rules.permit(caller, rules.ADD)
    owner = new.owner or caller.project_id
    rules.own(caller, owner, "create")
    if new.columns.get("visibility") == Visibility.PUBLIC:
        rules.permit(caller, rules.PUBLICIZE)
    protections.check(settings.property_protections, caller, Action.CREATE, new.properties)
    open_formats.check(new.columns, settings)
    check_properties(len(new.properties), settings)
    check_tags(len(new.tags), settings)
    allowance.check_count(tx, owner, settings)
    id = new.id or new_uuid()
    if new.id is not None and tx.value(select(c.id).where(c.id == id)) is not None:
        raise IdTaken(image=id)
    defaults = {
        "visibility": Visibility.SHARED,
        "min_disk_gib": 0,
        "min_ram_mib": 0,
        "protected": False,
        "hidden": False,
    }
    times = {"version": 1, "created_at": tx.now, "updated_at": tx.now}
    own = {"id": id, "owner": owner, "state": State.QUEUED, **times}
    if not tx.enter_unless_there(images, {**defaults, **new.columns, **own}):
        raise IdTaken(image=id)  # by somebody who was faster by a moment
    if new.properties:
        tx.run(insert(properties), [{"image_id": id, "name": n, "value": v} for n, v in new.properties.items()])
    if new.tags:
        tx.run(insert(tags), [{"image_id": id, "tag": tag} for tag in sorted(set(new.tags))])
    events.record(tx, "image.created", "image", id, owner, caller.request_id)
    return gather(tx, [_row(tx, id)])[0]


def _row(tx: Transaction, id: str) -> Mapping[str, Any]:
    row = tx.one(select(images).where(c.id == id))
    assert row is not None
    return row


def move(tx: Transaction, image: Mapping[str, Any], event: str, **values: Any) -> None:
    """Carry out a move of the lifecycle on an image that is locked; `TransitionRefused` where there is no such move."""
    target = LIFE[event].target
    if not LIFE.allows(event, image["state"]):
        raise TransitionRefused(state=image["state"], target=target, image=image["id"], blockers=blockers(tx, image))
    touch(tx, image["id"], state=target, **values)


def blockers(tx: Transaction, image: Mapping[str, Any]) -> tuple[Blocker, ...]:
    """What is being done to the image, such as an upload."""
    doing = journal.open_on(tx, "image", [image["id"]])
    return tuple(Blocker("operation", row["id"], row["project_id"]) for row in doing)


def touch(tx: Transaction, id: str, **values: Any) -> None:
    """Change columns of an image that is locked."""
    tx.run(update(images).where(c.id == id).values(**values, version=c.version + 1, updated_at=tx.now))


def deactivate(tx: Transaction, caller: Caller, id: str) -> None:
    """Nobody but administrators reads the image's bytes any more."""
    _act(tx, caller, id, "deactivate", rules.DEACTIVATE)


def reactivate(tx: Transaction, caller: Caller, id: str) -> None:
    """Everybody who sees the image may read its bytes again."""
    _act(tx, caller, id, "reactivate", rules.REACTIVATE)


def _act(tx: Transaction, caller: Caller, id: str, event: str, rule: Rule) -> None:
    image = find_locked(tx, caller, id)
    rules.permit_on(caller, rule, image)
    if not LIFE.allows(event, image["state"]):
        raise ActionRefused(action=event, state=image["state"], blockers=blockers(tx, image))
    if image["state"] != LIFE[event].target:
        move(tx, image, event)
        events.record(tx, f"image.{event}d", "image", id, image["owner"], caller.request_id)


def may_delete(tx: Transaction, caller: Caller, id: str) -> Mapping[str, Any]:
    """Refuse a deletion that is not allowed; the image's row."""
    return _deletable(caller, find(tx, caller, id))


def _deletable(caller: Caller, image: Mapping[str, Any]) -> Mapping[str, Any]:
    rules.permit_on(caller, rules.DELETE, image)
    if image["protected"]:
        raise Protected(image=image["id"])
    return image


def mark_deleted(tx: Transaction, caller: Caller, id: str) -> Mapping[str, Any]:
    """The image is gone for everybody; its bytes are still there, for the operation that follows. Its row."""
    image = _deletable(caller, find_locked(tx, caller, id))
    move(tx, image, "delete", deleted_at=tx.now)
    events.record(tx, "image.deleted", "image", id, image["owner"], caller.request_id)
    return image
