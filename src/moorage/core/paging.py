"""Pages of a list: how many, after which one, in which order. What SQL makes of it is in `database.paging`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Order:
    """One sort key. `key` is the record's name for it, not the wire's."""

    key: str
    descending: bool = False


@dataclass(frozen=True)
class Page:
    """Which part of a list is asked for. The order always ends in `id`, so that it is total."""

    limit: int
    marker: str | None = None
    order: tuple[Order, ...] = (Order("created_at", True),)
    offset: int = 0
