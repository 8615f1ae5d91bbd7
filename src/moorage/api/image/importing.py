"""Imports: data are staged, or fetched from elsewhere, or copied between stores; and taken out of a store again."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from moorage.api.image.data import asked_upload, receive
from moorage.api.image.images import bodiless
from moorage.api.request import Answer, Elsewhere, Later, Outcome, Request
from moorage.core.errors import Malformed, NotFound
from moorage.core.ids import is_uuid
from moorage.flows.images.incoming.asking import COPY, DIRECT, Asked, methods_of
from moorage.flows.images.incoming.copying import begin_copy
from moorage.flows.images.incoming.importing import begin_import
from moorage.flows.images.incoming.stage import Stage
from moorage.flows.images.locations.delete_location import begin_delete_location
from moorage.flows.images.stores import at_hand
from moorage.images.access.visibility import find
from moorage.images.errors import MethodUnknown, StoresMalformed


async def stage(ask: Request, body: AsyncIterator[bytes]) -> Answer:
    """Take data in that are imported later."""
    if DIRECT not in methods_of(ask.rooms):
        raise NotFound()
    return await receive(ask, Stage(ask.rooms, ask.caller, ask.params["id"], asked_upload(ask)), body)


def start(ask: Request) -> Outcome:
    """Begin to import an image, or to copy one to more stores."""
    asked = _asked(ask)
    with ask.read() as tx:
        find(tx, ask.caller, ask.params["id"])
    if asked.method == COPY:
        return _copy(ask, asked)
    if asked.method == DIRECT:
        return _begun(ask, asked, None)
    method, wanted = ask.rooms.methods[asked.method], dict(asked.body["method"])
    return Elsewhere(lambda: method.check(ask.caller, wanted), lambda checked: _begun(ask, asked, checked))


def _begun(ask: Request, asked: Asked, checked: Mapping[str, Any] | None) -> Answer:
    with ask.write() as tx:
        begin_import(tx, ask.rooms, ask.caller, ask.params["id"], asked, checked)
    return Answer(202, content=b"")


def _copy(ask: Request, asked: Asked) -> Answer:
    with ask.write() as tx:
        begin_copy(tx, ask.rooms, ask.caller, ask.params["id"], asked)
    return Answer(202, content=b"")


def _asked(ask: Request) -> Asked:
    body = ask.body
    method = body["method"]["name"]
    open_methods = methods_of(ask.rooms)
    if method not in open_methods:
        raise MethodUnknown(method=method[:64], methods=", ".join(open_methods) or "none")
    if method == "glance-download":
        _check_remote(body["method"])
    stores, all_stores = body.get("stores"), body.get("all_stores", False)
    header = ask.headers.get("x-image-meta-store")
    if stores is not None and all_stores:
        raise StoresMalformed(reason="stores and all_stores exclude each other")
    if header and (all_stores or (stores is not None and list(stores) != [header])):
        raise StoresMalformed(reason="the header X-Image-Meta-Store and the body do not agree")
    must = body.get("all_stores_must_succeed", True)
    named = [header] if header else stores
    return Asked(method, body, named, all_stores, must)


def _check_remote(method: Mapping[str, Any]) -> None:
    for name in ("glance_region", "glance_image_id"):
        if not method.get(name):
            raise Malformed(reason=f"{name} is needed to import by glance-download.")
    if not is_uuid(method["glance_image_id"]):
        raise Malformed(reason="The remote image id does not look like a UUID.")


@bodiless
def leave_store(ask: Request) -> Later | Answer:
    """Take an image out of one of its stores."""
    with ask.write() as tx:
        operation = begin_delete_location(tx, ask.rooms, ask.caller, ask.params["store"], ask.params["id"])
    if operation is None or not at_hand(ask.rooms, ask.params["store"]):
        return Answer(204)
    return Later(operation, lambda ask: Answer(204))
