"""Locations in the old way: paths of a PATCH that begin with /locations, where the configuration opens them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from moorage.api.bodies import Body
from moorage.api.image.patches import operation_of, parse
from moorage.api.image.schemas import LOCATION
from moorage.api.image.views import shown
from moorage.api.request import Answer, Elsewhere, Outcome, Request
from moorage.core.errors import Conflict, Malformed
from moorage.flows.images.locations import locate, relocate
from moorage.flows.images.locations.locate import Found
from moorage.flows.images.locations.relocate import Add, Place, Remove, Replace, Wish
from moorage.images import service
from moorage.images.changes import change
from moorage.images.locations.adopting import Said

_PLACE = Body(LOCATION)
_PLACES = Body({"type": "array", "items": LOCATION})
_ONE = re.compile(r"/locations/(-|\d{1,4})", re.ASCII)


def concerns(body: Any, kind: str) -> bool:
    """Whether any of the changes is one of locations."""
    return any(_of_locations(operation_of(item, kind)[1]) for item in body)


def update(ask: Request, kind: str) -> Outcome:
    """Change an image and its locations, all of what is asked or nothing."""
    wishes: list[Wish] = []
    others = []
    for item in ask.body:
        operation, path, value, _ = operation_of(item, kind)
        if _of_locations(path):
            wishes.append(_wish(operation, path, value))
        else:
            others.append(item)
    changes = parse(others, kind)
    with ask.read() as tx:
        relocate.may(tx, ask.caller, ask.params["id"])
    wanted = relocate.urls(wishes)

    def go_on(found: Mapping[str, Found]) -> Answer:
        return _changed(ask, changes, wishes, found)

    return Elsewhere(lambda: {url: locate.find_out(ask.rooms, url) for url in wanted}, go_on)


def _of_locations(path: Any) -> bool:
    return path == "/locations" or str(path).startswith("/locations/")  # a property's name may begin so


def _changed(ask: Request, changes: Any, wishes: Sequence[Wish], found: Mapping[str, Found]) -> Answer:
    id = ask.params["id"]
    with ask.write() as tx:
        relocate.change(tx, ask.rooms, ask.caller, id, wishes, found)
        change(tx, ask.caller, id, changes, ask.rooms.settings.images)
        return Answer(body=shown(ask, service.show(tx, ask.caller, id)))


def _wish(operation: str, path: str, value: Any) -> Wish:
    if path == "/locations" and operation in ("replace", "add"):
        _PLACES.check(value)
        return Replace([_place(one) for one in value])
    match = _ONE.fullmatch(path)
    if match is None or operation == "replace":
        raise Malformed(reason=f"Invalid JSON pointer for this resource: {path[:100]}")
    if operation == "add":
        _PLACE.check(value)
        return Add(_place(value))
    if match[1] == "-":
        raise Malformed(reason="A location is removed by its number.")
    return Remove(int(match[1]))


def _place(value: Mapping[str, Any]) -> Place:
    try:
        said = Said.of(value.get("validation_data"))
    except Malformed as problem:  # what cannot be a hash is not the image's: the old way calls that a conflict
        raise Conflict(reason=problem.sentence) from None
    return Place(value["url"], value["metadata"], said)
