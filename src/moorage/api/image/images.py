"""Images: create, show, list, change, delete, deactivate, reactivate."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from moorage.api.image import queries, relocating
from moorage.api.image.fields import check_names, columns_of, properties_of
from moorage.api.image.media import PATCHES
from moorage.api.image.patches import parse
from moorage.api.image.views import shown
from moorage.api.request import Answer, Later, Outcome, Request
from moorage.core.errors import Malformed, UnsupportedContent
from moorage.database import Transaction
from moorage.flows.images.delete import begin_delete
from moorage.flows.images.incoming.asking import methods_of
from moorage.flows.images.locations.hash_image import prove
from moorage.flows.images.stores import at_hand
from moorage.images import listing, service
from moorage.images.changes import change
from moorage.images.image import is_id
from moorage.images.locations import location
from moorage.images.service import New
from moorage.images.signatures.claim import PROPERTIES


def bodiless(handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
    """The handler of a call that takes no body: a client that sends one is mistaken about something."""

    @wraps(handler)
    def checked(ask: Request) -> Any:
        if ask.body is not None:
            raise Malformed(reason="This call takes no body.")
        return handler(ask)

    return checked


def create(ask: Request) -> Answer:
    """Register an image that waits for its data."""
    body = dict(ask.body)
    check_names(body, allowed=frozenset({"id"}))
    if "id" in body and not is_id(body["id"]):
        raise Malformed(reason="The id of an image is a uuid.")
    new = New(
        id=body.get("id"),
        columns={name: value for name, value in columns_of(body).items() if name != "owner"},
        owner=body.get("owner"),
        properties=properties_of(body),
        tags=body.get("tags", ()),
    )
    with ask.write() as tx:
        image = service.create(tx, ask.caller, new, ask.rooms.settings.images)
    place = f"{ask.url}/v2/images/{image.row['id']}"
    headers = {"Location": place, "OpenStack-image-store-ids": ",".join(sorted(ask.rooms.stores))}
    methods = methods_of(ask.rooms)
    if methods:
        headers["OpenStack-image-import-methods"] = ",".join(methods)
    return Answer(201, shown(ask, image), headers)


@bodiless
def show(ask: Request) -> Answer:
    """Show one image."""
    with ask.read() as tx:
        return Answer(body=shown(ask, service.show(tx, ask.caller, ask.params["id"])))


@bodiless
def index(ask: Request) -> Answer:
    """List images, a page at a time."""
    settings = ask.rooms.settings.images
    wanted = queries.wanted(ask.query, settings)
    with ask.read() as tx:
        rows = listing.page_of(tx, ask.caller, wanted, settings.property_protections)
        found = [shown(ask, image) for image in service.gather(tx, rows)]
    links = queries.links("/v2/images", ask.query, wanted.page, [row["id"] for row in rows])
    return Answer(body={"images": found, "schema": "/v2/schemas/images", **links})


def update(ask: Request) -> Outcome:
    """Change an image, all of what is asked or nothing."""
    kind = ask.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in PATCHES:
        raise PatchKindUnknown(kind=kind[:100], accepted=", ".join(PATCHES))
    if ask.rooms.settings.images.show_multiple_locations and relocating.concerns(ask.body, kind):
        return relocating.update(ask, kind)
    changes = parse(ask.body, kind)
    with ask.write() as tx:
        change(tx, ask.caller, ask.params["id"], changes, ask.rooms.settings.images)
        if any(one.name in PROPERTIES for one in changes):
            prove(tx, ask.rooms, ask.params["id"])
        return Answer(body=shown(ask, service.show(tx, ask.caller, ask.params["id"])))


class PatchKindUnknown(UnsupportedContent):
    """The request media type {kind} is not supported by this server; expected is one of: {accepted}."""

    code = "image.patch-kind-unknown"


@bodiless
def delete(ask: Request) -> Later | Answer:
    """Delete an image and, unless volumes lie on them, its data."""
    id, queue = ask.params["id"], ask.rooms.host_queue

    def begin(tx: Transaction) -> tuple[str, list[str]]:
        return begin_delete(tx, ask.caller, id, queue), [row["store"] for row in location.held(tx, id)]

    operation, held = ask.rooms.database.transact(begin)
    soon = all(at_hand(ask.rooms, store) for store in held)
    return Later(operation, _gone) if soon else _gone(ask)  # the image is gone; its bytes may take their time


def _gone(ask: Request) -> Answer:
    return Answer(204)


@bodiless
def deactivate(ask: Request) -> Answer:
    """Keep everybody but administrators from reading the data."""
    return _act(ask, service.deactivate)


@bodiless
def reactivate(ask: Request) -> Answer:
    """Let everybody who sees the image read the data again."""
    return _act(ask, service.reactivate)


def _act(ask: Request, verb: Callable[..., None]) -> Answer:
    with ask.write() as tx:
        verb(tx, ask.caller, ask.params["id"])
    return Answer(204)
