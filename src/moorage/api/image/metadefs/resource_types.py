"""What metadata definitions are for: kinds of resources, and the namespaces that are associated with them."""

from moorage.api.image.images import bodiless
from moorage.api.image.metadefs import bodies, views
from moorage.api.request import Answer, Request
from moorage.images.metadefs import associations


@bodiless
def index(ask: Request) -> Answer:
    """List the kinds of resources that definitions may be for."""
    with ask.read() as tx:
        return Answer(body={"resource_types": [views.resource_type(row) for row in associations.types(tx, ask.caller)]})


@bodiless
def associated(ask: Request) -> Answer:
    """List what a namespace's definitions are for."""
    with ask.read() as tx:
        rows = associations.index(tx, ask.caller, ask.params["namespace"])
    return Answer(body={"resource_type_associations": [views.association(row) for row in rows]})


def associate(ask: Request) -> Answer:
    """Let a namespace's definitions be for one more kind of resource."""
    asked = bodies.given(ask.body)
    with ask.write() as tx:
        row = associations.add(tx, ask.caller, ask.params["namespace"], asked)
    return Answer(201, views.association(row))


@bodiless
def dissociate(ask: Request) -> Answer:
    """Let a namespace's definitions be for one kind of resource less."""
    with ask.write() as tx:
        associations.remove(tx, ask.caller, ask.params["namespace"], ask.params["name"])
    return Answer(204)
