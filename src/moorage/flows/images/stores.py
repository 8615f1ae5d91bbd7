"""Which store an upload goes to, and which one an image is read from first."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import NotFound
from moorage.database import Transaction
from moorage.flows.rooms import Rooms
from moorage.images.access.visibility import find
from moorage.images.errors import ImageNotFound, StoreUnknown
from moorage.images.locations import location
from moorage.images.store import Store, StoreUnavailable


class NoSuchStore(NotFound):
    """There is no store {store} that images can be written to."""

    code = "store.not-found"


def by_weight(rooms: Rooms, stores: Iterable[str]) -> list[str]:
    """Store ids, the heaviest first, ties by name."""
    weights = _weights(rooms)
    return sorted(stores, key=lambda id: (-weights.get(id, 0), id))


def _weights(rooms: Rooms) -> Mapping[str, int]:
    return {store.id: store.weight for store in rooms.settings.stores}


def in_order(rooms: Rooms, held: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Locations as they are shown and numbered: the store that is read first at the beginning, ties as they came."""
    stores = read_first(rooms, [row["store"] for row in held])
    return sorted(held, key=lambda row: stores.index(row["store"]))


def read_first(rooms: Rooms, stores: Iterable[str]) -> list[str]:
    """The stores that hold an image, in the order in which they came to: as they are read, the heaviest first."""
    weights = _weights(rooms)
    return sorted(dict.fromkeys(stores), key=lambda id: -weights.get(id, 0))


def store_of(rooms: Rooms, id: str) -> Store:
    """The store `id`, which the configuration may have lost."""
    if id not in rooms.stores:
        raise StoreUnavailable(store=id, why="the configuration does not name it")
    return rooms.stores[id]


def store_for(tx: Transaction, rooms: Rooms, caller: Caller, named: str | None, base: str | None) -> str:
    """
    The store that is named; else the heaviest writable one that holds the image `base`, if the caller sees that; else
    the default one. Whatever is said of a base that is of no use is left out of account, and so are stores that hold it
    and are down; one that is chosen and down is refused before anything is begun.
    """
    if named:
        if named not in rooms.stores or rooms.stores[named].traits.read_only:
            raise StoreUnknown(store=named[:64])
        return usable(rooms, named)
    writable = [id for id in _stores_of(tx, caller, base) if _writable(rooms, id)] if base else []
    well = [id for id in by_weight(rooms, writable) if rooms.stores[id].trouble() is None]
    return usable(rooms, well[0] if well else rooms.default_store)


def usable(rooms: Rooms, id: str) -> str:
    """The store `id`, unless it is known to be down."""
    trouble = store_of(rooms, id).trouble()
    if trouble is not None:
        raise StoreUnavailable(store=id, why=str(trouble))
    return id


def at_hand(rooms: Rooms, id: str) -> bool:
    """Whether what is asked of the store is done soon, so that a call may wait for it."""
    store = rooms.stores.get(id)
    return store is not None and store.trouble() is None and not store.traits.remote


def chosen(
    tx: Transaction, rooms: Rooms, caller: Caller, named: str | None, type_wants: str | None, base: str | None
) -> str:
    """
    The store of an image that is made of a volume: the one that is named; else the one that the volume's type wants;
    else that of the image `base`, that the volume was made of.
    """
    return asked(rooms, named) if named else store_for(tx, rooms, caller, type_wants, base)


def asked(rooms: Rooms, id: str) -> str:
    """The store of this id, if images can be written to it: what `Moorage-Store` says."""
    if not _writable(rooms, id):
        raise NoSuchStore(store=id[:64])
    return usable(rooms, id)


def beside(rooms: Rooms, backend: str) -> list[str]:
    """The stores that are kept where the backend is: it sees their objects under their names."""
    settings = rooms.settings
    places = {(one.kind, one.path) for one in settings.backends if one.name == backend}
    return [store.id for store in settings.stores if (store.kind, store.path) in places]


def showing(rooms: Rooms, backend: str) -> list[str]:
    """The stores that can show layers of the backend."""
    return [id for id in beside(rooms, backend) if id in rooms.stores and rooms.stores[id].traits.shows]


def far(rooms: Rooms) -> list[str]:
    """The stores from which every backend can copy, the heaviest first."""
    return by_weight(rooms, rooms.stores) if all(one.traits.copies for one in rooms.backends.values()) else []


def in_our_volumes(rooms: Rooms) -> list[str]:
    """The stores that keep images in volumes of our own Block Storage."""
    return [store.id for store in rooms.settings.stores if store.kind == "volume" and not store.volume.auth_url]


def _writable(rooms: Rooms, id: str) -> bool:
    return id in rooms.stores and not rooms.stores[id].traits.read_only


def _stores_of(tx: Transaction, caller: Caller, image_id: str) -> list[str]:
    try:
        image = find(tx, caller, image_id)
    except ImageNotFound:
        return []
    return [str(row["store"]) for row in location.held(tx, image["id"])]
