"""What clients find out about this service: its stores, its ways to import, its quotas, its schemas."""

from datetime import UTC, datetime
from typing import Any

from moorage.api.image.images import bodiless
from moorage.api.image.schemas import served
from moorage.api.image.schemas_metadefs import SERVED as SERVED_METADEFS
from moorage.api.request import Answer, Request
from moorage.core.errors import NotFound
from moorage.flows.images.incoming.asking import methods_of
from moorage.images import allowance
from moorage.images.access import rules
from moorage.images.allowance import UNITS
from moorage.images.store import Store


@bodiless
def methods(ask: Request) -> Answer:
    """List the ways to import an image."""
    value = {"description": "Import methods available.", "type": "array", "value": methods_of(ask.rooms)}
    return Answer(body={"import-methods": value})


@bodiless
def stores(ask: Request) -> Answer:
    """List the stores."""
    return Answer(body={"stores": [_store(ask, settings) for settings in ask.rooms.settings.stores]})


@bodiless
def stores_in_detail(ask: Request) -> Answer:
    """List the stores as those who run them see them."""
    ask.caller.must(rules.STORES)
    found = []
    for settings in ask.rooms.settings.stores:
        store: Store = ask.rooms.stores[settings.id]
        properties = {**store.properties(), **_disabled(store)}
        detail = {"type": store.kind, "weight": settings.weight, "properties": properties}
        found.append({**_store(ask, settings), **detail})
    return Answer(body={"stores": found})


def _disabled(store: Store) -> dict[str, Any]:
    """Why the store cannot be used, beside its properties and only while that is so."""
    trouble = store.trouble()
    if trouble is None:
        return {}
    since = datetime.fromtimestamp(trouble.since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"moorage_state": "disabled", "moorage_reason": trouble.why, "moorage_since": since}


def _store(ask: Request, settings: Any) -> dict[str, Any]:
    shown = {"id": settings.id}
    if settings.description:
        shown["description"] = settings.description
    if settings.id == ask.rooms.default_store:
        shown["default"] = "true"
    if ask.rooms.stores[settings.id].traits.read_only:
        shown["read-only"] = "true"
    return shown


@bodiless
def usage(ask: Request) -> Answer:
    """Show what the caller's project may have, and what it has."""
    with ask.read() as tx:
        limits = allowance.limits(tx, ask.caller.project_id, ask.rooms.settings.images)
        used = allowance.usage(tx, ask.caller.project_id)
    shown = {name: {"limit": limits[name], "usage": -(-used[name] // unit)} for name, unit in UNITS.items()}
    return Answer(body={"usage": shown})


@bodiless
def schema(ask: Request) -> Answer:
    """Show the schema of one kind of thing."""
    settings = ask.rooms.settings.images
    return _shown(served(settings.disk_formats, settings.container_formats), ask.params["name"])


@bodiless
def schema_of_metadefs(ask: Request) -> Answer:
    """Show the schema of one kind of metadata definition."""
    return _shown(SERVED_METADEFS, ask.params["name"])


def _shown(served: dict[str, dict[str, Any]], name: str) -> Answer:
    if name not in served:
        raise NotFound()
    return Answer(body=served[name])
