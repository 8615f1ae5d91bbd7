"""
Change the locations of an image in the old way, by PATCH, where the configuration lets that be done.

The first location of an image that waits for bytes is taken in as `locate` does. More of them have to be as large, and
what is said of them has to be what is known; the last one stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Conflict, Malformed
from moorage.database import Transaction
from moorage.flows.images.locations import locate
from moorage.flows.images.locations.delete_location import take_out
from moorage.flows.images.locations.locate import Found
from moorage.flows.images.stores import in_order
from moorage.flows.rooms import Rooms
from moorage.images import allowance, service
from moorage.images.access import rules
from moorage.images.access.visibility import find, find_locked
from moorage.images.allowance import Limits
from moorage.images.errors import LocationMissing, LocationsKept
from moorage.images.image import State
from moorage.images.locations import adopting, location
from moorage.images.locations.adopting import Said
from moorage.images.quota import check_locations
from moorage.images.records import locations
from moorage.operations import events


class NotTheSame(Conflict):
    """What is said of the data at {url} is not what is known of image {image}."""

    code = "image.location-differs"


@dataclass(frozen=True)
class Place:
    """A location as a client says it."""

    url: str
    metadata: Mapping[str, Any]
    said: Said | None = None


@dataclass(frozen=True)
class Add:
    """One more location."""

    place: Place


@dataclass(frozen=True)
class Remove:
    """The location number `index` is none any more."""

    index: int


@dataclass(frozen=True)
class Replace:
    """These are the locations; where there are some already, they are the same with other metadata."""

    places: Sequence[Place]


Wish = Add | Remove | Replace


def urls(wishes: Sequence[Wish]) -> list[str]:
    """What is to be looked for."""
    added = [wish.place.url for wish in wishes if isinstance(wish, Add)]
    return list(dict.fromkeys([*added, *(p.url for wish in wishes if isinstance(wish, Replace) for p in wish.places)]))


def may(tx: Transaction, caller: Caller, id: str) -> None:
    """Refuse who may not change the image's locations."""
    rules.permit_on(caller, rules.SET_LOCATION, find(tx, caller, id))


def change(
    tx: Transaction, rooms: Rooms, caller: Caller, id: str, wishes: Sequence[Wish], found: Mapping[str, Found]
) -> None:
    """The image's locations are as they are wished; all or none."""
    room = allowance.lock_of(tx, id, rooms.settings.images)  # before the image is, by whichever wish comes first
    for wish in wishes:
        if isinstance(wish, Add):
            _add(tx, rooms, caller, id, wish.place, found[wish.place.url], room)
        elif isinstance(wish, Remove):
            _remove(tx, rooms, caller, id, wish.index)
        else:
            _replace(tx, rooms, caller, id, wish.places, found, room)


def _add(tx: Transaction, rooms: Rooms, caller: Caller, id: str, place: Place, found: Found, room: Limits) -> None:
    image = find(tx, caller, id)
    if image["state"] == State.QUEUED:
        kept = _kept(place.metadata)
        locate.begin(tx, rooms, caller, id, place.url, place.said, found, kept, tell_algorithm=False)
        return
    image = find_locked(tx, caller, id)
    adopting.may_say(caller, image, place.url)
    if image["state"] != State.ACTIVE:
        raise Conflict(reason=f"Image {id} is {image['state']}: its locations cannot be changed.")
    if any((row["store"], row["object"]) == (found.store, found.name) for row in location.held(tx, id)):
        raise Malformed(reason=f"The image has the location {place.url} already.")
    check_locations(len(location.held(tx, id)) + 1, rooms.settings.images)
    known = (image["checksum"], image["os_hash_algo"], image["os_hash_value"])
    if found.size != image["size"] or (place.said and not place.said.fits(*known)):
        raise NotTheSame(url=place.url, image=id)
    allowance.check_stored(tx, image, found.size, room)
    location.hold(tx, id, found.store, found.name, _kept(place.metadata))
    service.touch(tx, id)
    events.record(tx, "image.located", "image", id, image["owner"], caller.request_id, store=found.store)


def _remove(tx: Transaction, rooms: Rooms, caller: Caller, id: str, index: int) -> None:
    image = find_locked(tx, caller, id)
    rules.permit_on(caller, rules.DROP_COPY, image)
    if image["state"] != State.ACTIVE:
        raise Conflict(reason=f"Image {id} is {image['state']}: its locations cannot be changed.")
    held = in_order(rooms, location.held(tx, id))
    if index >= len(held):
        raise LocationMissing(index=index, image=id)
    if len(held) == 1:
        raise LocationsKept(image=id)
    take_out(tx, rooms, caller, image, held[index])


def _replace(
    tx: Transaction,
    rooms: Rooms,
    caller: Caller,
    id: str,
    places: Sequence[Place],
    found: Mapping[str, Found],
    room: Limits,
) -> None:
    if not places:
        raise LocationsKept(image=id)
    if find(tx, caller, id)["state"] == State.QUEUED:
        for place in places:
            _add(tx, rooms, caller, id, place, found[place.url], room)
        return
    find_locked(tx, caller, id)
    rows = {(row["store"], row["object"]): row for row in location.held(tx, id)}
    named = {(found[place.url].store, found[place.url].name): place for place in places}
    if rows.keys() != named.keys() or len(named) != len(places):
        raise Malformed(reason="Locations are replaced by the same ones with other metadata.")
    service.touch(tx, id)
    for at, place in named.items():
        tx.run(locations.update().where(locations.c.id == rows[at]["id"]).values(details=_kept(place.metadata) or None))


def _kept(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if name != "store"}
