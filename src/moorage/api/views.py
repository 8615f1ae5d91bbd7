"""Views: which fields a record shows on the wire, from which version on, and to whom. All as rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from moorage.api.versions import Version
from moorage.core.caller import Caller

Source = str | Callable[[Mapping[str, Any]], Any]

ALWAYS: Version = (0, 0)
EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Field:
    """One field: its name on the wire, where it comes from, since when, and whether only administrators see it."""

    name: str
    source: Source
    since: Version = ALWAYS
    admin: bool = False

    @property
    def getter(self) -> Callable[[Mapping[str, Any]], Any]:
        """What takes the field's value out of a record."""
        return itemgetter(self.source) if isinstance(self.source, str) else self.source


class View:
    """A record as one API shows it."""

    def __init__(self, *fields: Field) -> None:
        self.fields = fields
        self._shown: dict[tuple[Version, bool], list[tuple[str, Callable[[Mapping[str, Any]], Any]]]] = {}

    def __call__(self, record: Mapping[str, Any], version: Version, caller: Caller) -> dict[str, Any]:
        """The fields of `record` that `caller` sees at `version`."""
        shown = self._shown.get((version, caller.is_admin)) or self._choose(version, caller.is_admin)
        return {name: of(record) for name, of in shown}

    def _choose(self, version: Version, admin: bool) -> list[tuple[str, Callable[[Mapping[str, Any]], Any]]]:
        """Choose once for each version: a list of many records is the hottest path there is."""
        shown = [(f.name, f.getter) for f in self.fields if f.since <= version and (admin or not f.admin)]
        self._shown[version, admin] = shown
        return shown

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
    return (EPOCH + timedelta(microseconds=at)).isoformat(timespec="microseconds" if fraction else "seconds") + suffix
