"""Lists: which part, in which order, filtered by what, all told from the query; and the link to the next part."""

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import ColumnElement, Table, false, select

from moorage.api.block_storage import views
from moorage.api.block_storage.versions import V
from moorage.api.request import Request, boolean
from moorage.core.errors import Malformed
from moorage.core.paging import Order, Page
from moorage.database import Transaction
from moorage.database.paging import page_of, paged

#: Query parameters that are not filters.
NOT_FILTERS = frozenset("limit marker offset sort sort_key sort_dir all_tenants with_count".split())
FARTHEST = 2**31 - 1
_LONGEST_LITERAL = 4096
_KEY = re.compile(r"[a-zA-Z0-9-_:. /]{1,255}")

Condition = Callable[[str], ColumnElement[bool]]


@dataclass(frozen=True)
class Listing:
    """What one kind of list can be sorted and filtered by, by the names of the API."""

    table: Table
    sorts: Mapping[str, str]  #: name on the wire -> column
    filters: Mapping[str, Condition]
    admin_filters: Mapping[str, Condition] = field(default_factory=dict)
    like: Mapping[str, str] = field(default_factory=dict)  #: columns that `name~=text` searches


def page(request: Request, listing: Listing) -> Page:
    """Which part of the list is asked for."""
    limit = _count(request, "limit")
    most = request.rooms.settings.volumes.max_page
    return Page(
        limit=most if limit is None else min(limit, most),
        marker=request.asked("marker"),
        order=_order(request, listing),
        offset=_count(request, "offset") or 0,
    )


def _count(request: Request, name: str) -> int | None:
    text = request.asked(name)
    if text is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,20}", text):
        raise Malformed(reason=f"{name} param must be an integer")
    value = int(text)
    if value < 0:
        raise Malformed(reason=f"{name} param must be positive")
    if name == "offset" and value > FARTHEST:
        raise Malformed(reason=f"{name} param must be {FARTHEST} at most")
    return min(value, FARTHEST)


def _order(request: Request, listing: Listing) -> tuple[Order, ...]:
    asked, key, direction = request.asked("sort"), request.asked("sort_key"), request.asked("sort_dir")
    if asked is not None and (key is not None or direction is not None):
        raise Malformed(
            reason="The 'sort_key' and 'sort_dir' parameters are deprecated and cannot be used with 'sort'."
        )
    if asked is None:
        asked = f"{key or 'created_at'}:{direction or 'desc'}"
    order = []
    for part in [part for part in asked.split(",") if part.strip()][:16]:
        name, _, way = part.strip().partition(":")
        if name.strip() not in listing.sorts:
            raise Malformed(reason=f"Invalid sort key: {name[:64]}")
        if way.strip() not in ("", "asc", "desc"):
            raise Malformed(reason=f"Invalid sort direction: {way[:64]}")
        order.append(Order(listing.sorts[name.strip()], way.strip() != "asc"))
    return tuple(order) or (Order("created_at", True),)


def conditions(request: Request, listing: Listing) -> list[ColumnElement[bool]]:
    """The filters as conditions. What is not known is refused, before 3.31 ignored."""
    found, unknown = [], []
    known = {**listing.filters, **(listing.admin_filters if request.caller.is_admin else {})}
    for key, value in request.query:
        if key in NOT_FILTERS:
            continue
        if key in known:
            found.append(known[key](value))
        elif key.endswith("~") and key[:-1] in listing.like and request.version >= V.LIKE_FILTERS:
            found.append(listing.table.c[listing.like[key[:-1]]].icontains(value.replace("\0", ""), autoescape=True))
        else:
            unknown.append(key)
    if unknown and request.version >= V.KNOWN_FILTERS:
        raise Malformed(reason=f"Invalid filters {', '.join(sorted(unknown))[:256]} are found in query options.")
    return found


def everybody(request: Request) -> bool:
    """Whether an administrator asks for the resources of all projects."""
    return request.asked_flag("all_tenants") and request.caller.is_admin


def rows(
    tx: Transaction,
    request: Request,
    table: Table,
    page: Page,
    where: Sequence[ColumnElement[bool]],
    marker: Mapping[str, Any] | None,
) -> Sequence[Mapping[str, Any]]:
    """The rows of the page that the caller sees; where there is no filter, by a statement that is there already."""
    if not page.limit:
        return []
    own = {} if everybody(request) else {"project_id": request.caller.project_id}
    if not where and not page.offset:
        return page_of(tx, table, page, marker, **own)
    conditions = [*where, *(table.c[column] == value for column, value in own.items())]
    return tx.all(paged(select(table).where(*conditions), table, page, marker))


def next_link(
    request: Request, path: str, rows: Sequence[Mapping[str, Any]], page: Page
) -> list[dict[str, str]] | None:
    """The link to what comes after `rows`; None when this was all."""
    if not rows or len(rows) != page.limit:
        return None
    query = [(key, value) for key, value in request.query if key not in ("marker", "offset")]
    query = urlencode([*query, ("marker", rows[-1]["id"])])  # type: ignore[assignment]
    return [{"rel": "next", "href": f"{views.base(request)}/{path}?{query}"}]


def equals(column: ColumnElement[Any]) -> Condition:
    """Rows whose `column` is the text."""
    return lambda text: column == text if "\0" not in text else false()


def whole(column: ColumnElement[Any]) -> Condition:
    """Rows whose `column` is the number."""

    def condition(text: str) -> ColumnElement[bool]:
        return column == int(text) if re.fullmatch(r"[0-9]{1,18}", text) else false()

    return condition


def truth(column: ColumnElement[Any], name: str) -> Condition:
    """Rows whose `column` is what the text says, true or false."""
    return lambda text: column.is_(boolean(text, name))


def nothing(text: str) -> ColumnElement[bool]:
    """No row: the column is not in use."""
    return false()


def has(column: ColumnElement[Any]) -> Condition:
    """Rows in whose JSON object `column` are the pairs of the text, a literal of Python or JSON."""

    def condition(text: str) -> ColumnElement[bool]:
        both: ColumnElement[bool] | None = None
        for key, value in literal(text).items():
            if not isinstance(key, str) or not _KEY.fullmatch(key) or "\0" in str(value):
                return false()
            one = column[key].as_string() == str(value)
            both = one if both is None else both & one
        return both if both is not None else column.is_not(None)

    return condition


def literal(text: str) -> dict[Any, Any]:
    """The object that `text` spells in JSON, or in Python. Nothing is evaluated, and nothing long or deep is read."""
    if len(text) <= _LONGEST_LITERAL and text.count("{") + text.count("[") + text.count("(") <= 4:
        for read in (json.loads, ast.literal_eval):
            try:
                value = read(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
                continue
            if isinstance(value, dict):
                return value
    raise Malformed(reason=f"Invalid filter value {text[:64]!r}: an object is needed.")


_COMPARE: Mapping[str, Callable[[Any, int], ColumnElement[bool]]] = {
    "gt": lambda column, at: column > at,
    "gte": lambda column, at: column >= at,
    "eq": lambda column, at: column == at,
    "neq": lambda column, at: column != at,
    "lt": lambda column, at: column < at,
    "lte": lambda column, at: column <= at,
}


def times(column: ColumnElement[Any]) -> Condition:
    """Rows whose `column` compares as the text says: "gt:2026-01-01T00:00:00,lt:..."; a bare time must be equal."""

    def condition(text: str) -> ColumnElement[bool]:
        both: ColumnElement[bool] | None = None
        for part in text.split(",")[:16]:
            how, colon, when = part.partition(":")
            compare = _COMPARE.get(how.strip()) if colon else None
            one = compare(column, _instant(when)) if compare else column == _instant(part)
            both = one if both is None else both & one
        assert both is not None
        return both

    return condition


def _instant(text: str) -> int:
    try:
        at = datetime.fromisoformat(text.strip().replace(" ", "+"))
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        raise Malformed(reason=f"Invalid time {text[:64]!r}: ISO 8601 is needed.") from None
