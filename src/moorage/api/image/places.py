"""Where an image's data are, as it is shown to those who may know."""

from collections.abc import Mapping, Sequence
from typing import Any

from moorage.api.request import Request
from moorage.core.errors import Problem
from moorage.flows.images.stores import in_order, store_of
from moorage.images.image import State


def told(ask: Request, held: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The locations `held`, the store that is read first at the beginning; stores may have to be asked for that."""
    found: list[dict[str, Any]] = []
    for row in in_order(ask.rooms, held):
        try:
            url = store_of(ask.rooms, row["store"]).url(row["object"])
        except Problem:
            continue  # a store that is down, or not configured any more, has nothing to show
        found.append({"url": url, "metadata": {**(row["details"] or {}), "store": row["store"]}})
    return found


def fields(ask: Request, image: Mapping[str, Any], held: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the image itself shows of them: nothing, unless the configuration says so."""
    settings = ask.rooms.settings.images
    hidden = image["state"] == State.DEACTIVATED and not ask.caller.is_admin
    if hidden or not (settings.show_image_direct_url or settings.show_multiple_locations):
        return {}
    found = told(ask, held)
    shown: dict[str, Any] = {"direct_url": found[0]["url"]} if settings.show_image_direct_url and found else {}
    if settings.show_multiple_locations and ask.caller.sees(image["owner"]):
        shown["locations"] = found
    return shown
