"""
An image as one caller at a time would see it: small enough to be read at once.

It is written from the promises, not from the code.  What it does not have: stores, bytes, processes, other images.
"""

from dataclasses import dataclass, replace
from typing import Self

OWNER, MEMBER, ADMIN = "alice", "bob", "root"
PROJECT = "project-b"  #: the member's


@dataclass(frozen=True)
class Image:
    """An image, before it is created and after it is deleted too; `filler` is the call that is bringing its data."""

    there: bool = False
    gone: bool = False
    filler: int | None = None
    content: str | None = None
    deactivated: bool = False
    visibility: str = "shared"
    protected: bool = False
    name: str | None = None
    properties: frozenset[tuple[str, str]] = frozenset()
    tags: frozenset[str] = frozenset()
    acceptance: str | None = None  #: of the one member; None: there is none

    @property
    def status(self) -> str:
        """What it must be called."""
        if not self.there:
            return "deleted" if self.gone else "absent"
        if self.filler is not None:
            return "saving"
        return "queued" if self.content is None else "deactivated" if self.deactivated else "active"

    @property
    def settled(self) -> Self:
        return self

    def visible(self, who: str) -> bool:
        """Whether it may be named to this caller."""
        if who != MEMBER or not self.there:
            return self.there
        return self.visibility == "community" or (self.visibility == "shared" and self.acceptance is not None)

    def readable(self, who: str) -> bool:
        """Whether this caller, who sees it, gets its data."""
        return self.content is not None and (not self.deactivated or who == ADMIN)

    def having(self, name: str, value: str | None) -> Self:
        """With this property, or without it."""
        others = frozenset(pair for pair in self.properties if pair[0] != name)
        return replace(self, properties=others if value is None else others | {(name, value)})
