"""Views: which fields a record shows on the wire, from which version on, and to whom. All as rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any

from moorage.api.versions import Version
from moorage.core.caller import Caller


@dataclass(frozen=True)
class Constant:
    """A value that is the same in all records."""

    value: Any


Computed = Callable[[Mapping[str, Any]], Any]
Source = str | Computed | Constant

ALWAYS: Version = (0, 0)
EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Field:
    """One field: its name on the wire, where it comes from, since when, and whether only administrators see it."""

    name: str
    source: Source
    since: Version = ALWAYS
    admin: bool = False


class Shape:
    """Fields that are shown together, arranged so that a record costs as few calls as possible."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._empty = {f.name: f.source.value if isinstance(f.source, Constant) else None for f in fields}
        self._computed = [(f.name, f.source) for f in fields if not isinstance(f.source, str | Constant)]
        taken = {f.name: f.source for f in fields if isinstance(f.source, str)}
        self._names = tuple(taken)
        self._take = itemgetter(*taken.values(), next(iter(taken.values()))) if taken else lambda record: ()

    def __call__(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of `record`, in their order."""
        shown = self._empty.copy()
        shown.update(
            zip(self._names, self._take(record), strict=False)
        )  # one more is taken, so that it is always a tuple
        for name, of in self._computed:
            shown[name] = of(record)
        return shown


class View:
    """A record as one API shows it."""

    def __init__(self, *fields: Field) -> None:
        self.fields = fields
        self._shapes: dict[tuple[Version, bool], Shape] = {}

    def __call__(self, record: Mapping[str, Any], version: Version, caller: Caller) -> dict[str, Any]:
        """The fields of `record` that `caller` sees at `version`."""
        return self.shape(version, caller)(record)

    def shape(self, version: Version, caller: Caller) -> Shape:
        """What `caller` sees at `version`, for any number of records: long lists are the hottest path there is."""
        key = version, caller.is_admin
        if key not in self._shapes:
            self._shapes[key] = Shape([f for f in self.fields if f.since <= version and (key[1] or not f.admin)])
        return self._shapes[key]

    def without(self, *names: str) -> "View":
        """The same view less some fields."""
        return View(*(f for f in self.fields if f.name not in names))

    def plus(self, *fields: Field) -> "View":
        """The same view and more fields."""
        return View(*self.fields, *fields)


@lru_cache(8192)  # the same records are shown again and again
def moment(at: int | None, suffix: str = "", fraction: bool = True) -> str | None:
    """A time of the database (microseconds since 1970) as ISO text in UTC; None stays None."""
    if at is None:
        return None
    return (EPOCH + timedelta(microseconds=at)).isoformat(timespec="microseconds" if fraction else "seconds") + suffix
