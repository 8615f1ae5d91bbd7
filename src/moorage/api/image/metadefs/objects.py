"""Definitions of objects: properties that belong together."""

from moorage.api.image.images import bodiless
from moorage.api.image.metadefs import bodies, views
from moorage.api.request import Answer, Request
from moorage.images.metadefs import definitions
from moorage.images.metadefs.definitions import Kind


@bodiless
def index(ask: Request) -> Answer:
    """List the objects that a namespace defines."""
    namespace = ask.params["namespace"]
    with ask.read() as tx:
        rows = definitions.index(tx, ask.caller, namespace, Kind.OBJECT)
    shown = [views.object(row, namespace) for row in rows]
    return Answer(body={"objects": shown, "schema": f"{views.SCHEMAS}/objects"})


def create(ask: Request) -> Answer:
    """Define an object."""
    namespace, body = ask.params["namespace"], bodies.given(ask.body)
    with ask.write() as tx:
        row = definitions.add(tx, ask.caller, namespace, Kind.OBJECT, body)
    shown = views.object(row, namespace, whole=False)
    return Answer(201, shown, views.place(ask, shown))


@bodiless
def show(ask: Request) -> Answer:
    """Show the definition of an object."""
    namespace = ask.params["namespace"]
    with ask.read() as tx:
        row = definitions.show(tx, ask.caller, namespace, Kind.OBJECT, ask.params["name"])
    return Answer(body=views.object(row, namespace))


def replace(ask: Request) -> Answer:
    """Define an object differently."""
    namespace, name, body = ask.params["namespace"], ask.params["name"], bodies.replaced(ask.body)
    with ask.write() as tx:
        row = definitions.change(tx, ask.caller, namespace, Kind.OBJECT, name, body)
    return Answer(body=views.object(row, namespace, whole=False))


@bodiless
def delete(ask: Request) -> Answer:
    """Forget the definition of an object."""
    with ask.write() as tx:
        definitions.remove(tx, ask.caller, ask.params["namespace"], Kind.OBJECT, ask.params["name"])
    return Answer(204)


@bodiless
def clear(ask: Request) -> Answer:
    """Forget all definitions of objects in a namespace."""
    with ask.write() as tx:
        definitions.clear(tx, ask.caller, ask.params["namespace"], Kind.OBJECT)
    return Answer(204)
