"""Locations of images: shown to services; said by services, and by owners where everybody can look."""

from moorage.api.image.images import bodiless
from moorage.api.image.places import told
from moorage.api.request import Answer, Elsewhere, Outcome, Request
from moorage.flows.images.locations import locate
from moorage.flows.images.locations.locate import Found
from moorage.images.access import rules
from moorage.images.access.visibility import find
from moorage.images.locations import adopting, location
from moorage.images.locations.adopting import Said


@bodiless
def index(ask: Request) -> Outcome:
    """Show services where the data are."""
    with ask.read() as tx:
        image = find(tx, ask.caller, ask.params["id"])
        ask.caller.must(rules.LOCATIONS)
        held = location.held(tx, image["id"])
    return Elsewhere(lambda: told(ask, held), lambda found: Answer(body=found))


def create(ask: Request) -> Outcome:
    """Let an image have data that others have put somewhere; they are read, and never deleted."""
    id, url, said = ask.params["id"], ask.body["url"], Said.of(ask.body.get("validation_data"))
    with ask.read() as tx:
        adopting.addable(tx, ask.caller, id, url)
    return Elsewhere(lambda: locate.find_out(ask.rooms, url), lambda found: _begun(ask, url, said, found))


def _begun(ask: Request, url: str, said: Said | None, found: Found) -> Answer:
    with ask.write() as tx:
        locate.begin(tx, ask.rooms, ask.caller, ask.params["id"], url, said, found)
    return Answer(202, content=b"")
