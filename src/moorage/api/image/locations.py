"""Locations of images: shown to services, set by nobody. Bytes come in by upload, so that all were looked at."""

from moorage.api.image.images import bodiless
from moorage.api.request import Answer, Request
from moorage.flows.images.stores import by_weight, store_of
from moorage.images import location, rules
from moorage.images.errors import LocationsOff
from moorage.images.visibility import find


@bodiless
def index(ask: Request) -> Answer:
    """Show services where the data are."""
    with ask.read() as tx:
        image = find(tx, ask.caller, ask.params["id"])
        ask.caller.must(rules.LOCATIONS)
        held = {row["store"]: row["object"] for row in location.held(tx, image["id"])}
    shown = [{"url": _url(ask, id, held[id]), "metadata": {"store": id}} for id in by_weight(ask.rooms, held)]
    return Answer(body=shown)


def create(ask: Request) -> Answer:
    """Refuse to take data from elsewhere."""
    with ask.read() as tx:
        find(tx, ask.caller, ask.params["id"])
        ask.caller.must(rules.ADD_LOCATION)
    raise LocationsOff()


def _url(ask: Request, id: str, name: str) -> str:
    return store_of(ask.rooms, id).url(name)
