"""Views: which fields a record shows on the wire, from which version on, and to whom. All as rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moorage.api.versions import Version
from moorage.core.caller import Caller

Source = str | Callable[[Mapping[str, Any]], Any]

ALWAYS: Version = (0, 0)


@dataclass(frozen=True)
class Field:
    """One field: its name on the wire, where it comes from, since when, and whether only administrators see it."""

    name: str
    source: Source
    since: Version = ALWAYS
    admin: bool = False

    def of(self, record: Mapping[str, Any]) -> Any:
        return record[self.source] if isinstance(self.source, str) else self.source(record)


class View:
    """A record as one API shows it."""

    def __init__(self, *fields: Field) -> None:
        self.fields = fields

    def __call__(self, record: Mapping[str, Any], version: Version, caller: Caller) -> dict[str, Any]:
        """The fields of `record` that `caller` sees at `version`."""
        admin = caller.is_admin
        return {f.name: f.of(record) for f in self.fields if f.since <= version and (admin or not f.admin)}

    def without(self, *names: str) -> "View":
        """The same view less some fields."""
        return View(*(f for f in self.fields if f.name not in names))

    def plus(self, *fields: Field) -> "View":
        """The same view and more fields."""
        return View(*self.fields, *fields)


def moment(at: int | None, suffix: str = "", fraction: bool = True) -> str | None:
    """A time of the database (microseconds since 1970) as ISO text in UTC; None stays None."""
    if at is None:
        return None
    text = datetime.fromtimestamp(at / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f" if fraction else "%Y-%m-%dT%H:%M:%S")
    return text + suffix
