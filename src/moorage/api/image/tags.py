"""Tags of images."""

from moorage.api.image.images import bodiless
from moorage.api.request import Answer, Request
from moorage.core.errors import Malformed
from moorage.images import tags


@bodiless
def add(ask: Request) -> Answer:
    """Give an image a tag."""
    tag = ask.params["tag"]
    if len(tag) > 255:
        raise Malformed(reason="A tag has 255 characters at most.")
    with ask.write() as tx:
        tags.add(tx, ask.caller, ask.params["id"], tag, ask.rooms.settings.images)
    return Answer(204)


@bodiless
def remove(ask: Request) -> Answer:
    """Take a tag off an image."""
    with ask.write() as tx:
        tags.remove(tx, ask.caller, ask.params["id"], ask.params["tag"])
    return Answer(204)
