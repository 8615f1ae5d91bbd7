"""Members: share an image with a project, list and show members, answer, stop sharing."""

from moorage.api.image import views
from moorage.api.image.images import bodiless
from moorage.api.request import Answer, Request
from moorage.images.access import members


def create(ask: Request) -> Answer:
    """Share an image with a project."""
    with ask.write() as tx:
        row = members.share(tx, ask.caller, ask.params["id"], ask.body["member"], ask.rooms.settings.images)
    return Answer(body=views.member(ask, row))


@bodiless
def index(ask: Request) -> Answer:
    """List the projects that an image is shared with."""
    with ask.read() as tx:
        rows = members.index(tx, ask.caller, ask.params["id"])
    return Answer(body={"members": [views.member(ask, row) for row in rows], "schema": "/v2/schemas/members"})


@bodiless
def show(ask: Request) -> Answer:
    """Show what a project makes of an image."""
    with ask.read() as tx:
        return Answer(body=views.member(ask, members.show(tx, ask.caller, ask.params["id"], ask.params["member"])))


def update(ask: Request) -> Answer:
    """Accept or reject an image that is shared with the caller's project."""
    with ask.write() as tx:
        row = members.answer(tx, ask.caller, ask.params["id"], ask.params["member"], ask.body["status"])
    return Answer(body=views.member(ask, row))


@bodiless
def delete(ask: Request) -> Answer:
    """Stop sharing an image with a project."""
    with ask.write() as tx:
        members.unshare(tx, ask.caller, ask.params["id"], ask.params["member"])
    return Answer(204)
