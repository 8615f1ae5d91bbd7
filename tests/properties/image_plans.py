"""Which ways a call about an image may have gone that was answered as it was: each verb of the API over the model."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from tests.properties import checker
from tests.properties.checker import Step
from tests.properties.history import Call
from tests.properties.image_model import MEMBER, OWNER, Image

Effect = checker.Effect[Image]
Plan = checker.Plan[Image]


def plans(call: Call) -> list[Plan]:
    """The plans of a call; none where no call of its verb is ever answered like that."""
    return VERBS[call.verb](call)


def _if(holds: Callable[[Image], bool], then: Callable[[Image], Image] = lambda image: image) -> Effect:
    def effect(image: Image) -> Iterator[Image]:
        if holds(image):
            yield then(image)

    return effect


def _once(
    name: str, holds: Callable[[Image], bool], then: Callable[[Image], Image] = lambda image: image
) -> list[Plan]:
    return [(Step(name, _if(holds, then)),)]


def _who(call: Call) -> str:
    return str(call.asked.get("who", OWNER))


def _unseen(call: Call) -> list[Plan]:
    return _once("unseen", lambda image: not image.visible(_who(call)))


def _by_owner(call: Call, plan: list[Plan]) -> list[Plan]:
    """Only the owner may; the member is told so, where he sees the image."""
    if call.code == 404:
        return _unseen(call) + (plan if _who(call) == OWNER else [])
    if _who(call) == MEMBER:
        return _once("forbidden", lambda image: image.visible(MEMBER)) if call.code == 403 else []
    return plan


def _create(call: Call) -> list[Plan]:
    new = Image(there=True, name=call.asked["name"], visibility=call.asked["visibility"])
    if call.code == 201:
        return _once("create", lambda image: not image.there and not image.gone, lambda image: new)
    return _once("taken", lambda image: image.there or image.gone) if call.code == 409 else []


def _shown(image: Image, call: Call) -> bool:
    said = call.seen
    return (
        said["status"] == image.status
        and said["content"] == image.content
        and said["visibility"] == image.visibility
        and said["protected"] == image.protected
        and said["name"] == image.name
        and said["properties"] == image.properties
        and said["tags"] == image.tags
    )


def _show(call: Call) -> list[Plan]:
    if call.code == 404:
        return _unseen(call)
    return _once("read", lambda image: image.visible(_who(call)) and _shown(image, call)) if call.code == 200 else []


def _patch(call: Call) -> list[Plan]:
    name, value = call.asked["name"], call.asked["value"]

    def become(image: Image) -> Image:
        if name in ("visibility", "protected", "name"):
            return replace(image, **{name: value})
        return image.having(name, value)

    def missing(image: Image) -> bool:
        return image.there and value is None and name not in dict(image.properties)

    def fits(image: Image) -> bool:
        return image.there and not missing(image) and _shown(become(image), call)

    if call.code == 200:
        return _by_owner(call, _once("change", fits, become))
    return _by_owner(call, _once("missing", missing) if call.code == 409 else [])


def _tag(call: Call) -> list[Plan]:
    tag = {call.asked["tag"]}
    if call.code == 204:
        return _once("tag", lambda image: image.there, lambda image: replace(image, tags=image.tags | tag))
    return _unseen(call) if call.code == 404 else []


def _untag(call: Call) -> list[Plan]:
    tag = call.asked["tag"]
    if call.code == 204:
        return _once(
            "untag",
            lambda image: image.there and tag in image.tags,
            lambda image: replace(image, tags=image.tags - {tag}),
        )
    return _once("none", lambda image: tag not in image.tags) + _unseen(call) if call.code == 404 else []


def _upload(call: Call) -> list[Plan]:
    mine = call.number

    def fill(image: Image) -> Image:
        return replace(image, filler=None, content=call.asked["content"])

    begin = Step("begin", _if(lambda image: image.status == "queued", lambda image: replace(image, filler=mine)))
    if call.code == 204:
        return [(begin, Step("finish", _if(lambda image: image.filler == mine, fill)))]
    if call.code == 409:
        return _once("busy", lambda image: image.there and image.status != "queued")
    if call.code == 410:
        return [(begin, Step("overtaken", _if(lambda image: image.gone)))]
    if call.code == 0:  # its client went away, and learnt nothing
        back = _if(lambda image: image.filler == mine, lambda image: replace(image, filler=None))
        overtaken = Step("overtaken", _if(lambda image: image.gone), late=True)
        return [(), (begin, Step("fall back", back, late=True)), (begin, overtaken)]
    return _unseen(call) if call.code == 404 else []


def _download(call: Call) -> list[Plan]:
    who = _who(call)
    if call.code == 200:
        said = call.seen["content"]
        return _once("read", lambda image: image.visible(who) and image.readable(who) and image.content == said)
    if call.code == 204:
        return _once("nothing", lambda image: image.visible(who) and image.content is None)
    if call.code == 403:
        return _once("forbidden", lambda image: image.visible(who) and image.deactivated and not image.readable(who))
    return _unseen(call) if call.code == 404 else []


def _delete(call: Call) -> list[Plan]:
    gone = Image(gone=True)
    if call.code == 204:
        return _by_owner(call, _once("delete", lambda image: image.there and not image.protected, lambda image: gone))
    return _by_owner(
        call, _once("protected", lambda image: image.there and image.protected) if call.code == 403 else []
    )


def _switch(off: bool) -> Callable[[Call], list[Plan]]:
    def switch(call: Call) -> list[Plan]:
        if call.code == 204:
            return _once(
                "switch",
                lambda image: image.there and image.content is not None,
                lambda image: replace(image, deactivated=off),
            )
        if call.code == 403:
            return _once("no data", lambda image: image.there and image.content is None)
        return _unseen(call) if call.code == 404 else []

    return switch


def _share(call: Call) -> list[Plan]:
    def new(image: Image) -> bool:
        return image.there and image.visibility == "shared" and image.acceptance is None

    if call.code == 200:
        return _once("share", new, lambda image: replace(image, acceptance="pending"))
    if call.code == 409:
        return _once("taken", lambda image: image.visibility == "shared" and image.acceptance is not None)
    return _not_shared(call)


def _unshare(call: Call) -> list[Plan]:
    def shared(image: Image) -> bool:
        return image.there and image.visibility == "shared" and image.acceptance is not None

    if call.code == 204:
        return _once("unshare", shared, lambda image: replace(image, acceptance=None))
    none = _once("none", lambda image: image.visibility == "shared" and image.acceptance is None)
    return none + _unseen(call) if call.code == 404 else _not_shared(call)


def _not_shared(call: Call) -> list[Plan]:
    if call.code == 403:
        return _once("not shared", lambda image: image.there and image.visibility != "shared")
    return _unseen(call) if call.code == 404 else []


def _accept(call: Call) -> list[Plan]:
    word = call.asked["word"]
    if call.code == 200:
        return _once(
            "answer",
            lambda image: image.visible(MEMBER) and image.acceptance is not None,
            lambda image: replace(image, acceptance=word),
        )
    if call.code == 404:
        return _once("none", lambda image: not image.visible(MEMBER) or image.acceptance is None)
    return []


def _members(call: Call) -> list[Plan]:
    if call.code == 200:
        said = call.seen["acceptance"]
        return _once("read", lambda image: image.visibility == "shared" and image.there and image.acceptance == said)
    return _not_shared(call)


VERBS: Mapping[str, Callable[[Call], list[Plan]]] = {
    "create": _create,
    "show": _show,
    "patch": _patch,
    "tag": _tag,
    "untag": _untag,
    "upload": _upload,
    "download": _download,
    "delete": _delete,
    "deactivate": _switch(True),
    "reactivate": _switch(False),
    "share": _share,
    "unshare": _unshare,
    "accept": _accept,
    "members": _members,
}
