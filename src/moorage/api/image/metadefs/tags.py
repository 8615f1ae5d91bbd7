"""Words that are offered as tags."""

from moorage.api.image.images import bodiless
from moorage.api.image.metadefs import bodies, views
from moorage.api.request import Answer, Request
from moorage.core.errors import Malformed
from moorage.images.metadefs import definitions
from moorage.images.metadefs.definitions import Kind
from moorage.images.metadefs.records import NAME


@bodiless
def index(ask: Request) -> Answer:
    """List the tags that a namespace offers, the newest first."""
    with ask.read() as tx:
        rows = definitions.index(tx, ask.caller, ask.params["namespace"], Kind.TAG)
    return Answer(body={"tags": [{"name": row["name"]} for row in rows]})


def replace_all(ask: Request) -> Answer:
    """Offer these tags instead of, or with `X-OpenStack-Append: True` beside, those that there are."""
    names = [tag["name"] for tag in ask.body["tags"]]
    keep = ask.headers.get("x-openstack-append", "").strip().lower() == "true"
    with ask.write() as tx:
        definitions.replace_tags(tx, ask.caller, ask.params["namespace"], names, keep=keep)
    return Answer(201, {"tags": [{"name": name} for name in names]})


@bodiless
def create(ask: Request) -> Answer:
    """Offer a tag."""
    name = ask.params["name"]
    if len(name) > NAME:
        raise Malformed(reason=f"The name of a tag has {NAME} characters at most.")
    with ask.write() as tx:
        row = definitions.add(tx, ask.caller, ask.params["namespace"], Kind.TAG, {"name": name})
    return Answer(201, views.tag(row))


@bodiless
def show(ask: Request) -> Answer:
    """Show a tag."""
    with ask.read() as tx:
        row = definitions.show(tx, ask.caller, ask.params["namespace"], Kind.TAG, ask.params["name"])
    return Answer(body=views.tag(row))


def rename(ask: Request) -> Answer:
    """Offer another word instead of a tag."""
    namespace, name, body = ask.params["namespace"], ask.params["name"], bodies.replaced(ask.body)
    with ask.write() as tx:
        row = definitions.change(tx, ask.caller, namespace, Kind.TAG, name, {"name": body["name"]})
    return Answer(body=views.tag(row))


@bodiless
def delete(ask: Request) -> Answer:
    """Offer a tag no more."""
    with ask.write() as tx:
        definitions.remove(tx, ask.caller, ask.params["namespace"], Kind.TAG, ask.params["name"])
    return Answer(204)


@bodiless
def clear(ask: Request) -> Answer:
    """Offer no tags in a namespace."""
    with ask.write() as tx:
        definitions.clear(tx, ask.caller, ask.params["namespace"], Kind.TAG)
    return Answer(204)
