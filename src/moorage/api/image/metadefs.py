"""Metadata definitions: a catalog of properties that dashboards offer. Ours is empty; nobody adds to it yet."""

from moorage.api.image.images import bodiless
from moorage.api.request import Answer, Request
from moorage.core.errors import Forbidden, NotFound
from moorage.images import rules


class NamespaceNotFound(NotFound):
    """Metadata definition namespace={name} was not found."""

    code = "image.namespace-not-found"


@bodiless
def namespaces(ask: Request) -> Answer:
    """List the namespaces of metadata definitions: none."""
    rules.permit(ask.caller, rules.METADEFS)
    path = "/v2/metadefs/namespaces"
    return Answer(body={"namespaces": [], "first": path, "schema": "/v2/schemas/metadefs/namespaces"})


@bodiless
def namespace(ask: Request) -> Answer:
    """Show one namespace: there is none."""
    rules.permit(ask.caller, rules.METADEFS)
    raise NamespaceNotFound(name=ask.params["name"][:80])


@bodiless
def resource_types(ask: Request) -> Answer:
    """List the kinds of resources that definitions are for: none."""
    rules.permit(ask.caller, rules.METADEFS)
    return Answer(body={"resource_types": []})


def refuse(ask: Request) -> Answer:
    """Refuse to add a namespace: definitions are not kept yet."""
    raise Forbidden(action="add_metadef_namespace")
