"""Lists of images: which ones, in which order, one page of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, exists, select

from moorage.core.caller import Caller
from moorage.core.paging import Page
from moorage.database import Transaction
from moorage.database.paging import paged
from moorage.images.access import rules
from moorage.images.access.protections import Action, Protections, allows
from moorage.images.access.visibility import listed, sees
from moorage.images.errors import MarkerUnknown
from moorage.images.image import State, is_id
from moorage.images.records import images, properties, tags

c = images.c

COMPARISONS = {
    "eq": lambda column, value: column == value,
    "within": lambda column, value: column.between(*value),
    "outside": lambda column, value: ~column.between(*value),
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
    "in": lambda column, value: column.in_(value),
}


@dataclass(frozen=True)
class Condition:
    """A column of `images`, compared with a value (several, for "in")."""

    column: str
    comparison: str
    value: Any

    @property
    def clause(self) -> ColumnElement[bool]:
        clause: ColumnElement[bool] = COMPARISONS[self.comparison](c[self.column], self.value)
        return clause


@dataclass(frozen=True)
class Wanted:
    """Which images a list is asked for."""

    page: Page
    conditions: Sequence[Condition] = ()
    tags: Sequence[str] = ()
    properties: Sequence[tuple[str, str]] = ()
    visibility: str | None = None
    acceptance: str = "accepted"
    hidden: bool = False


def page_of(tx: Transaction, caller: Caller, wanted: Wanted, guards: Protections = ()) -> Sequence[Mapping[str, Any]]:
    """The page of images that is wanted, as far as the caller sees them."""
    rules.permit(caller, rules.LIST)
    marker = _marker(tx, caller, wanted.page.marker)
    hidden = [name for name, _ in wanted.properties if not allows(guards, caller, Action.READ, name)]
    if wanted.page.limit == 0 or hidden:  # what cannot be seen cannot be guessed at by filters
        return []
    query = select(images).where(c.state != State.DELETED, c.hidden.is_(wanted.hidden))
    query = query.where(listed(caller, wanted.visibility, wanted.acceptance))
    query = query.where(*(condition.clause for condition in wanted.conditions))
    for tag in wanted.tags:
        query = query.where(exists().where(tags.c.image_id == c.id, tags.c.tag == tag))
    for name, value in wanted.properties:
        p = properties.c
        query = query.where(exists().where(p.image_id == c.id, p.name == name, p.value == value))
    return tx.all(paged(query, images, wanted.page, marker))


def _marker(tx: Transaction, caller: Caller, id: str | None) -> Mapping[str, Any] | None:
    """The image after which the page begins. It may be deleted meanwhile: its row still says where it stood."""
    if id is None:
        return None
    row = tx.one(select(images).where(c.id == id)) if is_id(id) else None
    if row is None or not sees(tx, caller, row):
        raise MarkerUnknown(marker=id[:64])
    return row
