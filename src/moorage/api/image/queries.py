"""
What a list of images is asked for, read from the query: filters, order, page, and the links to the pages.

Every value is checked here; nothing that a client writes into a URL gets further unless it means something.
"""

import csv
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

from moorage.core.errors import Malformed
from moorage.core.paging import Order, Page
from moorage.images.image import Acceptance, Visibility
from moorage.images.listing import Condition, Wanted
from moorage.images.settings import ImageSettings

Query = Sequence[tuple[str, str]]

# fmt: off
SORT_KEYS = {
    "name": "name", "status": "state", "container_format": "container_format", "disk_format": "disk_format",
    "size": "size", "id": "id", "created_at": "created_at", "updated_at": "updated_at",
}
LISTABLE = {
    "name": "name", "id": "id", "status": "state", "container_format": "container_format", "disk_format": "disk_format",
}
PLAIN = {"owner": "owner", "checksum": "checksum", "os_hash_value": "os_hash_value", "os_hash_algo": "os_hash_algo"}
NUMBERS = {"size": "size", "virtual_size": "virtual_size", "min_disk": "min_disk_gib", "min_ram": "min_ram_mib"}
TIMES = ("created_at", "updated_at")
# fmt: on

_LARGEST = 2**63 - 1
_OPERATORS = frozenset("gt gte lt lte eq neq in".split())


def wanted(query: Query, settings: ImageSettings) -> Wanted:
    """What the query asks for; `Malformed` where it cannot be told."""
    reading = _Reading(settings)
    for name, value in query:
        reading.take(name, value)
    return reading.result()


def links(path: str, query: Query, page: Page, ids: Sequence[str]) -> dict[str, str]:
    """`first` and, unless this is the last page, `next`; both repeat every parameter, repeated ones too."""
    kept = [(name, value) for name, value in query if name != "marker"]
    found = {"first": f"{path}?{urlencode(kept)}" if kept else path}
    if page.limit and len(ids) == page.limit:
        found["next"] = f"{path}?{urlencode([*kept, ('marker', ids[-1])])}"
    return found


def read_limit(value: str) -> int:
    """How long a page may be."""
    if not re.fullmatch(r"-?\d{1,20}", value, re.ASCII):
        raise Malformed(reason="limit param must be an integer")
    if value.startswith("-"):
        raise Malformed(reason="limit param must be positive")
    return int(value)


def one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    """`value`, one of those that are `allowed`."""
    if value not in allowed:
        raise Malformed(reason=f"Invalid {name} value: {value[:64]}; it is one of {', '.join(allowed)}.")
    return value


class _Reading:
    """A query, taken in one parameter after the other."""

    def __init__(self, settings: ImageSettings) -> None:
        self._limit, self._largest = settings.page, settings.largest_page
        self._marker: str | None = None
        self._sort: list[str] = []
        self._keys: list[str] = []
        self._dirs: list[str] = []
        self._conditions: list[Condition] = []
        self._tags: list[str] = []
        self._properties: list[tuple[str, str]] = []
        self._visibility: str | None = None
        self._acceptance: str = Acceptance.ACCEPTED
        self._hidden = False

    def take(self, name: str, value: str) -> None:
        """Read one parameter."""
        reader = _READERS.get(name)
        if reader is not None:
            reader(self, value)
        elif name in LISTABLE:
            self._conditions.append(_listed(name, value))
        elif name in PLAIN:
            self._conditions.append(Condition(PLAIN[name], "eq", value))
        elif name in TIMES:
            self._conditions.append(_timed(name, value))
        elif name.endswith(("_min", "_max")) and name[:-4] in NUMBERS:
            comparison = "gte" if name.endswith("_min") else "lte"
            self._conditions.append(Condition(NUMBERS[name[:-4]], comparison, _number(name, value)))
        elif name in NUMBERS:
            self._conditions.append(Condition(NUMBERS[name], "eq", _number(name, value)))
        else:
            self._properties.append((name, value))

    def result(self) -> Wanted:
        """All of it together."""
        page = Page(min(self._limit, self._largest), self._marker, self._order())
        return Wanted(
            page=page,
            conditions=self._conditions,
            tags=self._tags,
            properties=self._properties,
            visibility=self._visibility,
            acceptance=self._acceptance,
            hidden=self._hidden,
        )

    def _order(self) -> tuple[Order, ...]:
        if self._sort and (self._keys or self._dirs):
            raise Malformed(reason="Old and new sorting syntax cannot be combined")
        pairs = _new_order(self._sort) if self._sort else _old_order(self._keys or ["created_at"], self._dirs)
        default = self._dirs[0] if len(self._dirs) == 1 else "desc"
        pairs += [(key, default) for key in ("created_at", "id")]
        order: dict[str, Order] = {}
        for key, direction in pairs:
            order.setdefault(SORT_KEYS[key], Order(SORT_KEYS[key], direction == "desc"))
        return tuple(order.values())

    def limit(self, value: str) -> None:
        self._limit = read_limit(value)

    def marker(self, value: str) -> None:
        self._marker = value

    def sort(self, value: str) -> None:
        self._sort += value.split(",")

    def sort_key(self, value: str) -> None:
        self._keys.append(_sort_key(value.strip()))

    def sort_dir(self, value: str) -> None:
        self._dirs.append(_sort_dir(value.strip()))

    def tag(self, value: str) -> None:
        if len(value) > 255:
            raise Malformed(reason="A tag has 255 characters at most.")
        self._tags.append(value)

    def visibility(self, value: str) -> None:
        self._visibility = one_of("visibility", value, [*Visibility, "all"])

    def member_status(self, value: str) -> None:
        self._acceptance = one_of("member_status", value, [*Acceptance, "all"])

    def protected(self, value: str) -> None:
        flag = one_of("protected", value, ["true", "false"]) == "true"
        self._conditions.append(Condition("protected", "eq", flag))

    def os_hidden(self, value: str) -> None:
        self._hidden = one_of("os_hidden", value.lower(), ["true", "false"]) == "true"

    def refuse(self, value: str) -> None:
        raise Malformed(reason='The "changes-since" filter is no longer available on v2.')


_READERS: dict[str, Callable[[_Reading, str], None]] = {
    "limit": _Reading.limit,
    "marker": _Reading.marker,
    "sort": _Reading.sort,
    "sort_key": _Reading.sort_key,
    "sort_dir": _Reading.sort_dir,
    "tag": _Reading.tag,
    "visibility": _Reading.visibility,
    "member_status": _Reading.member_status,
    "protected": _Reading.protected,
    "os_hidden": _Reading.os_hidden,
    "changes-since": _Reading.refuse,
}


def _sort_key(key: str) -> str:
    if key not in SORT_KEYS:
        raise Malformed(reason=f"Invalid sort key: {key[:64]}. It must be one of: {', '.join(SORT_KEYS)}.")
    return key


def _sort_dir(direction: str) -> str:
    if direction not in ("asc", "desc"):
        raise Malformed(reason=f"Invalid sort direction: {direction[:64]}. It must be asc or desc.")
    return direction


def _new_order(items: Sequence[str]) -> list[tuple[str, str]]:
    pairs = (item.strip().partition(":") for item in items)
    return [(_sort_key(key.strip()), _sort_dir(direction.strip() or "desc")) for key, _, direction in pairs]


def _old_order(keys: Sequence[str], dirs: Sequence[str]) -> list[tuple[str, str]]:
    if len(dirs) > 1 and len(dirs) != len(keys):
        raise Malformed(reason="Number of sort dirs does not match the number of sort keys")
    directions = dirs if len(dirs) > 1 else [dirs[0] if dirs else "desc"] * len(keys)
    return list(zip(keys, directions, strict=True))


def _number(name: str, value: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,30}", value, re.ASCII):
        raise Malformed(reason=f"Invalid value {value[:64]} for {name}: an integer is needed.")
    return max(-_LARGEST, min(_LARGEST, int(value)))


def _listed(name: str, value: str) -> Condition:
    """Equality, or `in:a,b,"c,d"`."""
    operator, colon, rest = value.partition(":")
    if not colon or operator not in _OPERATORS:
        return Condition(LISTABLE[name], "eq", value)
    if operator == "eq":
        return Condition(LISTABLE[name], "eq", rest)
    if operator == "in":
        return Condition(LISTABLE[name], "in", _values(rest))
    raise Malformed(reason=f"Unable to filter {name} by the operator {operator}.")


def _values(text: str) -> list[str]:
    """The values between commas; quotes protect commas, and must be whole."""
    if not re.fullmatch(r'(?:"[^"]*"|[^",]*)(?:,(?:"[^"]*"|[^",]*))*', text):
        raise Malformed(reason=f"Invalid filter value {text[:64]}. The quote is not closed, or stands within a value.")
    return next(csv.reader([text.replace("\r", " ").replace("\n", " ")]), [])


def _timed(name: str, value: str) -> Condition:
    """A time, compared as its prefix says, to the second, which is what clients see of times."""
    operator, colon, rest = value.partition(":")
    comparison, text = (operator, rest) if colon and operator in _OPERATORS else ("eq", value)
    if comparison == "in":
        raise Malformed(reason=f"Unable to filter {name} by the operator in.")
    try:
        at = datetime.fromisoformat(text.strip())
        second = int(at.replace(tzinfo=at.tzinfo or UTC).timestamp()) * 1_000_000
    except (ValueError, OverflowError):
        raise Malformed(reason=f"Invalid time: {text[:64]}. ISO 8601 is needed.") from None
    last = second + 999_999
    if comparison in ("eq", "neq"):
        return Condition(name, {"eq": "within", "neq": "outside"}[comparison], (second, last))
    return Condition(name, comparison, last if comparison in ("gt", "lte") else second)
