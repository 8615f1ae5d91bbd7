"""What of an image is at hand when its headers are checked: the beginning, the end and, at last, the length."""

from dataclasses import dataclass, field
from struct import calcsize, unpack_from
from typing import Any


class Unsound(Exception):
    """An image that must not be read; the text says why and quotes nothing of its bytes."""


@dataclass(frozen=True)
class Seen:
    """An image, as far as it has passed."""

    head: bytes  #: the first mebibyte, or all of it
    tail: bytes = b""  #: the last three sectors, when all has passed
    size: int | None = None  #: unknown until all has passed
    parts: dict[str, bytes] = field(default_factory=dict)  #: what was kept from further inside, by name
    virtual_size: int = 0  #: what the library makes of it

    def fields(self, layout: str, offset: int) -> tuple[Any, ...]:
        """The values at `offset` of the head."""
        self.require(offset + calcsize(layout) <= len(self.head), "its header is cut short")
        return unpack_from(layout, self.head, offset)

    def require_inside(self, offset: int, length: int, what: str) -> None:
        """Refuse a table that the file does not hold whole: nobody shall allocate for it."""
        if self.size is not None:
            self.require(offset + length <= self.size, f"its {what} lies outside the file")

    @staticmethod
    def require(sound: bool, otherwise: str) -> None:
        if not sound:
            raise Unsound(otherwise)
