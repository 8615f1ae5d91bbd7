"""What a client asks of an import, and which stores that means; all of it is checked before anything begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moorage.flows.images.stores import by_weight, usable
from moorage.flows.rooms import Rooms
from moorage.images.errors import StoreNotThere, StoresMalformed

DIRECT, COPY = "glance-direct", "copy-image"  #: the ways to import that need nothing from elsewhere


@dataclass(frozen=True)
class Asked:
    """An import as it was asked for; the values are of the right kind."""

    method: str
    body: Mapping[str, Any]  #: the request, as the task shows it
    stores: Sequence[str] | None = None  #: None: the default one
    all_stores: bool = False
    all_must_succeed: bool = True
    shown: Mapping[str, Any] | None = None  #: what the task shows as its input, where that is not this import


def methods_of(rooms: Rooms) -> list[str]:
    """The ways to import that are open: those that the configuration names and this process can go."""
    there = {DIRECT, COPY, *rooms.methods}
    return [name for name in rooms.settings.images.import_methods if name in there]


def writable(rooms: Rooms) -> list[str]:
    """The stores that take something in, the heaviest first."""
    return by_weight(rooms, [id for id, store in rooms.stores.items() if not store.traits.read_only])


def chosen(rooms: Rooms, asked: Asked) -> list[str]:
    """The stores that the image is to be written to; refuses what is no store, or takes nothing in."""
    if asked.all_stores:
        return writable(rooms)
    stores = list(asked.stores) if asked.stores is not None else [rooms.default_store]
    if not stores:
        raise StoresMalformed(reason="the list is empty")
    if len(set(stores)) != len(stores):
        raise StoresMalformed(reason="one is named twice")
    for id in stores:
        if id not in rooms.stores:
            raise StoreNotThere(store=id[:64], reason="there is no such store")
        if rooms.stores[id].traits.read_only:
            raise StoreNotThere(store=id, reason="it is read-only")
    return stores


def permit(rooms: Rooms, asked: Asked, stores: Sequence[str]) -> None:
    """Refuse what would fail for a store that is known to be down: the first of them is named, and why."""
    down = [id for id in stores if rooms.stores[id].trouble() is not None]
    if down and (asked.all_must_succeed or len(down) == len(stores)):
        usable(rooms, down[0])
