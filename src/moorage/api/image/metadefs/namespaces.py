"""Namespaces of metadata definitions: list, create, show, replace, delete."""

from collections.abc import Mapping
from typing import Any

from moorage.api.image.images import bodiless
from moorage.api.image.metadefs import bodies, queries, views
from moorage.api.image.queries import links
from moorage.api.request import Answer, Request
from moorage.database import Transaction
from moorage.images.metadefs import associations, definitions, namespaces
from moorage.images.metadefs.definitions import Kind

_COLUMNS = ("namespace", "display_name", "description", "visibility", "protected", "owner")


@bodiless
def index(ask: Request) -> Answer:
    """List namespaces, a page at a time."""
    wanted = queries.wanted(ask.query, ask.rooms.settings.images)
    with ask.read() as tx:
        rows = namespaces.page_of(tx, ask.caller, wanted)
        found = associations.of(tx, [row["id"] for row in rows])
    shown = [views.namespace(row, found[row["id"]]) for row in rows]
    pages = links(views.PATH, ask.query, wanted.page, [row["namespace"] for row in rows])
    return Answer(body={"namespaces": shown, "schema": f"{views.SCHEMAS}/namespaces", **pages})


def create(ask: Request) -> Answer:
    """Make a namespace, with the definitions that come along."""
    body = bodies.given(ask.body)
    parts = bodies.parts(body)
    with ask.write() as tx:
        row = namespaces.create(tx, ask.caller, _columns(body))
        for one in parts["resource_type_associations"]:
            associations.enter(tx, row, one)
        definitions.enter(tx, row, Kind.PROPERTY, parts["properties"])
        definitions.enter(tx, row, Kind.OBJECT, parts["objects"])
        definitions.enter(tx, row, Kind.TAG, [{"name": one["name"]} for one in parts["tags"]])
        shown = _whole(tx, row)
    if "resource_type_associations" in body:
        shown["resource_type_associations"] = body["resource_type_associations"]  # as they were given, without times
    return Answer(201, shown, views.place(ask, shown))


@bodiless
def show(ask: Request) -> Answer:
    """Show a namespace and all that is in it, names beginning as they do on `resource_type`."""
    with ask.read() as tx:
        row = namespaces.find(tx, ask.caller, ask.params["namespace"])
        kind = ask.asked("resource_type")
        return Answer(body=_whole(tx, row, associations.prefix_of(tx, row, kind) if kind else ""))


def replace(ask: Request) -> Answer:
    """Give a namespace other attributes; what is in it stays."""
    columns = {"display_name": None, "description": None, **_columns(bodies.replaced(ask.body))}
    with ask.write() as tx:
        return Answer(body=views.namespace(namespaces.change(tx, ask.caller, ask.params["namespace"], columns)))


@bodiless
def delete(ask: Request) -> Answer:
    """Delete a namespace and all that is in it."""
    with ask.write() as tx:
        namespaces.remove(tx, ask.caller, ask.params["namespace"])
    return Answer(204)


def _columns(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in _COLUMNS if name in body}


def _whole(tx: Transaction, row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A namespace with what is in it, as far as there is any of it."""
    shown = views.namespace(row, associations.of(tx, [row["id"]])[row["id"]])
    properties = [views.property(one, prefix) for one in definitions.within(tx, row["id"], Kind.PROPERTY)]
    objects = definitions.within(tx, row["id"], Kind.OBJECT)
    tags = definitions.within(tx, row["id"], Kind.TAG)
    if properties:
        shown["properties"] = {one.pop("name"): one for one in properties}
    if objects:
        shown["objects"] = [views.object(one, row["namespace"], prefix) for one in objects]
    if tags:
        shown["tags"] = [{"name": one["name"]} for one in tags]
    return shown
