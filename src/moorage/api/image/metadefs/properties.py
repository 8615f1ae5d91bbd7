"""Definitions of properties."""

from moorage.api.image.images import bodiless
from moorage.api.image.metadefs import views
from moorage.api.request import Answer, Request
from moorage.images.metadefs import associations, definitions, namespaces
from moorage.images.metadefs.definitions import Kind
from moorage.images.metadefs.errors import DefinitionNotFound


@bodiless
def index(ask: Request) -> Answer:
    """List the properties that a namespace defines."""
    with ask.read() as tx:
        rows = definitions.index(tx, ask.caller, ask.params["namespace"], Kind.PROPERTY)
    return Answer(body={"properties": {row["name"]: views.property(row) for row in rows}})


def create(ask: Request) -> Answer:
    """Define a property."""
    with ask.write() as tx:
        row = definitions.add(tx, ask.caller, ask.params["namespace"], Kind.PROPERTY, ask.body)
    return Answer(201, views.property(row))


@bodiless
def show(ask: Request) -> Answer:
    """Show the definition of a property, whose name begins as it does on `resource_type`."""
    name, kind = ask.params["name"], ask.asked("resource_type")
    with ask.read() as tx:
        namespace = namespaces.find(tx, ask.caller, ask.params["namespace"])
        prefix = associations.prefix_of(tx, namespace, kind) if kind else ""
        if not name.startswith(prefix):
            raise DefinitionNotFound(kind=Kind.PROPERTY, name=name[:80])
        row = definitions.show(tx, ask.caller, namespace["namespace"], Kind.PROPERTY, name.removeprefix(prefix))
    return Answer(body=views.property(row, prefix))


def replace(ask: Request) -> Answer:
    """Define a property differently."""
    params = ask.params
    with ask.write() as tx:
        row = definitions.change(tx, ask.caller, params["namespace"], Kind.PROPERTY, params["name"], ask.body)
    return Answer(body=views.property(row))


@bodiless
def delete(ask: Request) -> Answer:
    """Forget the definition of a property."""
    with ask.write() as tx:
        definitions.remove(tx, ask.caller, ask.params["namespace"], Kind.PROPERTY, ask.params["name"])
    return Answer(204)


@bodiless
def clear(ask: Request) -> Answer:
    """Forget all definitions of properties in a namespace."""
    with ask.write() as tx:
        definitions.clear(tx, ask.caller, ask.params["namespace"], Kind.PROPERTY)
    return Answer(204)
