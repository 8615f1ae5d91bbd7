"""
Changes of an image: applied in order to what is there, all or none, under the lock of the image's row.

What is authorised is the effect, not the operation: whoever changes nothing needs no right to it.  Only what has
changed is written, each property and tag as a row of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, insert, update

from moorage.core.caller import Caller
from moorage.core.errors import Forbidden
from moorage.database import Transaction
from moorage.images import open_formats
from moorage.images.access import protections, rules
from moorage.images.access.protections import Action, Protections
from moorage.images.access.visibility import find_locked
from moorage.images.errors import AttributeFixed, PropertyMissing, PropertyPresent
from moorage.images.image import State, Visibility
from moorage.images.quota import check_properties, check_tags
from moorage.images.records import properties, tags
from moorage.images.service import gather, touch
from moorage.images.settings import ImageSettings
from moorage.operations import events

_WHILE_QUEUED = frozenset({"disk_format", "container_format"})


class Operation(StrEnum):
    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"


@dataclass(frozen=True)
class Change:
    """One change of one attribute; the value is of the right kind."""

    operation: Operation
    name: str
    value: Any = None
    column: str | None = None  #: of `images`; None: the tags or a property
    add_replaces: bool = True  #: whether adding what is there replaces it


@dataclass
class _Draft:
    """An image as the changes so far leave it."""

    state: str
    columns: dict[str, Any]
    properties: dict[str, str | None]
    tags: list[str]
    unseen: frozenset[str] = frozenset()  #: properties that whoever changes the image may not know of

    def apply(self, change: Change) -> None:
        if change.column is not None or change.name == "tags":
            self._set(change)
        elif change.operation is Operation.REMOVE:
            self._must_have(change.name)
            del self.properties[change.name]
        else:
            if change.operation is Operation.REPLACE:
                self._must_have(change.name)
            elif change.name in self.properties and not change.add_replaces:
                raise PropertyPresent(name=change.name)
            self.properties[change.name] = change.value

    def _set(self, change: Change) -> None:
        if change.operation is Operation.ADD and not change.add_replaces:
            raise PropertyPresent(name=change.name)
        if change.column is None:
            self.tags = list(dict.fromkeys(change.value))
            return
        if change.column in _WHILE_QUEUED and self.state != State.QUEUED:
            raise AttributeFixed(name=change.name)
        self.columns[change.column] = change.value

    def _must_have(self, name: str) -> None:
        if name not in self.properties or name in self.unseen:
            raise PropertyMissing(name=name)


def change(tx: Transaction, caller: Caller, id: str, changes: Sequence[Change], settings: ImageSettings) -> None:
    """The image is as the changes make it; a refusal of one leaves it as it was."""
    row = find_locked(tx, caller, id)
    rules.permit_on(caller, rules.MODIFY, row)
    if not changes:
        return
    before = gather(tx, [row])[0]
    guards = settings.property_protections
    seen = frozenset(protections.readable(guards, caller, before.properties))
    draft = _Draft(row["state"], {}, dict(before.properties), list(before.tags), frozenset(before.properties) - seen)
    for one in changes:
        draft.apply(one)
    effect = {column: value for column, value in draft.columns.items() if row[column] != value}
    _authorise(caller, row, effect)
    open_formats.check(effect, settings)
    _check_protections(guards, caller, before.properties, draft.properties)
    if len(draft.properties) > len(before.properties):
        check_properties(len(draft.properties), settings)
    if len(draft.tags) > len(before.tags):
        check_tags(len(draft.tags), settings)
    _write_properties(tx, id, before.properties, draft.properties)
    _write_tags(tx, id, before.tags, draft.tags)
    touch(tx, id, **effect)
    events.record(tx, "image.updated", "image", id, row["owner"], caller.request_id)


def _authorise(caller: Caller, row: Mapping[str, Any], effect: Mapping[str, Any]) -> None:
    if effect.get("visibility") == Visibility.PUBLIC:
        rules.permit(caller, rules.PUBLICIZE)
    if effect.get("visibility") == Visibility.COMMUNITY:
        rules.permit_on(caller, rules.COMMUNITIZE, row)
    if "owner" in effect and not caller.is_admin:
        raise Forbidden(action=rules.MODIFY.name)


def _check_protections(
    guards: Protections, caller: Caller, before: Mapping[str, str | None], after: Mapping[str, str | None]
) -> None:
    """Refuse an effect on properties that others protect from the caller."""
    protections.check(guards, caller, Action.CREATE, (name for name in after if name not in before))
    protections.check(guards, caller, Action.DELETE, (name for name in before if name not in after))
    changed = (name for name in after if name in before and before[name] != after[name])
    protections.check(guards, caller, Action.UPDATE, changed)


def _write_properties(
    tx: Transaction, id: str, before: Mapping[str, str | None], after: Mapping[str, str | None]
) -> None:
    p = properties.c
    gone = [name for name in before if name not in after]
    if gone:
        tx.run(delete(properties).where(p.image_id == id, p.name.in_(gone)))
    fresh = [{"image_id": id, "name": name, "value": value} for name, value in after.items() if name not in before]
    if fresh:
        tx.run(insert(properties), fresh)
    for name, value in after.items():
        if name in before and before[name] != value:
            tx.run(update(properties).where(p.image_id == id, p.name == name).values(value=value))


def _write_tags(tx: Transaction, id: str, before: Sequence[str], after: Sequence[str]) -> None:
    gone = [tag for tag in before if tag not in after]
    if gone:
        tx.run(delete(tags).where(tags.c.image_id == id, tags.c.tag.in_(gone)))
    fresh = [{"image_id": id, "tag": tag} for tag in after if tag not in before]
    if fresh:
        tx.run(insert(tags), fresh)
