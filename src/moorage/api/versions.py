"""Microversions as rows: a name for each, and what a client gains by it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

Version = tuple[int, int]

_TEXT = re.compile(r"(\d{1,4})\.(\d{1,4})")


def parse(text: str) -> Version | None:
    """The version that `text` ("3.27") names; None when it is not one."""
    match = _TEXT.fullmatch(text.strip())
    return (int(match[1]), int(match[2])) if match else None


def shown(version: Version) -> str:
    """`version` as it stands on the wire."""
    return f"{version[0]}.{version[1]}"


@dataclass(frozen=True)
class Since:
    """One row: the version, the name that our code calls it by, and a sentence for users."""

    version: Version
    name: str
    gain: str


class Versions:
    """A service's microversions, oldest first. `V.NEW_ATTACH` is the version of that name."""

    def __init__(self, *rows: tuple[str, str, str]) -> None:
        self._rows = [Since(parse(version) or (0, 0), name, gain) for version, name, gain in rows]
        self._named = {row.name: row.version for row in self._rows}

    def __getattr__(self, name: str) -> Version:
        try:
            return self.__dict__["_named"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(name) from None

    def __iter__(self) -> Iterator[Since]:
        return iter(self._rows)

    @property
    def minimum(self) -> Version:
        return self._rows[0].version

    @property
    def maximum(self) -> Version:
        return self._rows[-1].version
