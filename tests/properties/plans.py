"""
Which ways a call may have gone that was answered as it was: each verb of the API over the model.

An answer to `create`, `update` and `delete` that waited for work was read after it, so that it is a step of its own.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from tests.properties import old_plans
from tests.properties.checker import Step
from tests.properties.effects import (
    Plan,
    both,
    ending,
    gone,
    guarded,
    joined,
    missing,
    only_if,
    opened,
    opening,
    overtaken,
    passed_over,
    refused,
    released,
    says,
    shown,
    withdrawing,
)
from tests.properties.history import Call
from tests.properties.model import Held, Volume


def plans(call: Call) -> list[Plan]:
    """The plans of a call; none where no call of its verb is ever answered like that."""
    return VERBS[call.verb](call)


# attachments


def _create(call: Call) -> list[Plan]:
    asked, id, place = call.asked, str(call.seen.get("id")), call.asked["place"]

    def refuse(volume: Volume) -> bool:
        return not volume.gone and not volume.reservable(asked["instance"]) and says(call, volume)

    def twice(volume: Volume) -> bool:
        return bool(place) and volume.reservable(asked["instance"]) and volume.twice(id, place, moving=True)

    def begin(volume: Volume) -> Iterator[Volume]:
        if volume.reservable(asked["instance"]) and not (place and volume.twice(id, place, moving=True)):
            held = Held(id, asked["instance"], mode="ro" if volume.readonly else asked["mode"])
            yield volume.having(opening(volume, held, call) if place else held)

    if call.code == 400:
        return refused(refuse)
    reserve = Step("reserve", begin)
    if call.code == 200 and not place:
        return [(Step("reserve", both(begin, shown(call, id))),)]
    if call.code == 200:
        return [(reserve, Step("open", opened(call)), Step("show", shown(call, id)))]
    if call.code == 409:
        return [*refused(twice), (reserve, Step("overtaken", overtaken(call)))]
    if call.code == 404 and "id" in call.seen:
        return [(reserve, Step("open", opened(call)), Step("gone", only_if(missing(id))))]
    return refused(gone) if call.code == 404 else []


def _update(call: Call) -> list[Plan]:
    id, place = call.asked["id"], call.asked["place"]

    def same(volume: Volume) -> bool:
        held = volume.find(id)
        if held is None or "error" in volume.status or volume.twice(id, place, moving=False):
            return False
        return held.door and held.place == place and held.state in ("attaching", "attached")

    def ready(volume: Volume) -> bool:
        held = volume.find(id)
        return same(volume) and held is not None and held.ready

    def join(volume: Volume) -> Iterator[Volume]:
        held = volume.find(id)
        if held is not None and same(volume) and not held.ready:
            yield joined(volume, held, call)

    def begin(volume: Volume) -> Iterator[Volume]:
        held = volume.find(id)
        if held is None or held.state == "detaching" or same(volume) or refuse(volume):
            return
        yield volume.having(opening(volume, held, call))

    def refuse(volume: Volume) -> bool:
        held = volume.find(id)
        if held is None:
            return False
        return "error" in volume.status or volume.twice(id, place, moving=False) or held.state == "detaching"

    start, joining, show = Step("begin", begin), Step("join", join), Step("show", shown(call, id))
    open_ = Step("open", opened(call))
    if call.code == 200:
        return [(start, open_, show), (joining, show), (Step("same", both(only_if(ready), shown(call, id))),)]
    if call.code == 409:
        late, over = Step("overtaken", overtaken(call)), Step("overtaken", passed_over(call))
        return [*refused(refuse), (start, late), (joining, over)]
    if call.code == 404:
        away = Step("gone", only_if(missing(id)))
        return [(away,), (start, open_, away), (joining, away)]
    return []


def _complete(call: Call) -> list[Plan]:
    id = call.asked["id"]

    def complete(volume: Volume) -> Iterator[Volume]:
        held = volume.find(id)
        if held is not None and (held.state in ("reserved", "attached") or (held.state == "attaching" and held.ready)):
            yield volume.having(replace(held, state="attached", origin=held.origin and "old"))

    def refuse(volume: Volume) -> bool:
        return volume.find(id) is not None and not list(complete(volume))

    if call.code == 204:
        return [(Step("complete", complete),)]
    if call.code == 409:
        return refused(refuse)
    return refused(missing(id)) if call.code == 404 else []


def _delete(call: Call) -> list[Plan]:
    id = call.asked["id"]

    def refuse(volume: Volume) -> bool:
        held = volume.find(id)
        return held is not None and guarded(held, call)

    def begin(volume: Volume) -> Iterator[Volume]:
        if volume.find(id) is not None and not refuse(volume):
            yield from withdrawing(volume, [id], call)

    def remaining(volume: Volume) -> Iterator[Volume]:
        return volume.seen(call.seen["remaining"], lambda held: held.origin != "hold", lambda held: held.state)

    if call.code == 200:
        return ending(call, begin, remaining)
    if call.code == 409:
        return refused(refuse)
    return refused(missing(id)) if call.code == 404 else []


# volumes


def _delete_volume(call: Call) -> list[Plan]:
    def begin(volume: Volume) -> Iterator[Volume]:
        if not volume.gone and volume.status in ("available", "error") and not volume.held:
            yield replace(volume, deleting=True)

    def end(volume: Volume) -> Iterator[Volume]:
        yield replace(volume, deleting=False, gone=True)

    def again(volume: Volume) -> bool:
        return volume.deleting and not volume.gone

    def refuse(volume: Volume) -> bool:
        return not volume.gone and not volume.deleting and not list(begin(volume))

    if call.code == 202:
        return [(Step("begin", begin), Step("gone", end, late=True)), (Step("again", only_if(again)),)]
    if call.code == 400:
        return refused(refuse)
    return refused(gone) if call.code == 404 else []


def _extend(call: Call) -> list[Plan]:
    size = call.asked["size_gib"]

    def begin(volume: Volume) -> Iterator[Volume]:
        if not volume.gone and volume.status == "available" and size > volume.size_gib:
            yield replace(volume, extending=size)

    def end(volume: Volume) -> Iterator[Volume]:
        yield replace(volume, extending=None, size_gib=size)

    def refuse(volume: Volume) -> bool:
        return not volume.gone and not list(begin(volume)) and says(call, volume)

    if call.code == 202:
        return [(Step("begin", begin), Step("longer", end, late=True))]
    if call.code == 413:
        return refused(lambda volume: bool(list(begin(volume))))
    if call.code == 400:
        return refused(refuse)
    return refused(gone) if call.code == 404 else []


def _reset(call: Call) -> list[Plan]:
    to = call.asked["to"]

    def begin(volume: Volume) -> Iterator[Volume]:
        if volume.gone or (to == "in-use" and not volume.held):
            return
        after = replace(volume, override=to if to == "error" else None)
        if to == "available":
            yield from withdrawing(after, [held.id for held in after.held], call)
        else:
            yield after

    def refuse(volume: Volume) -> bool:
        without_bytes = volume.deleting and to == "available"  # at some moment of its deletion it has none any more
        return not volume.gone and (without_bytes or not list(begin(volume)))

    if call.code == 202:
        return [(Step("begin", begin), Step("release", released(call)))]
    if call.code == 400:
        return refused(refuse)
    return refused(gone) if call.code == 404 else []


def _readonly(call: Call) -> list[Plan]:
    def change(volume: Volume) -> Iterator[Volume]:
        if not volume.gone and volume.status == "available":
            yield replace(volume, readonly=call.asked["readonly"])

    def refuse(volume: Volume) -> bool:
        return not volume.gone and volume.status != "available" and says(call, volume)

    if call.code == 202:
        return [(Step("change", change),)]
    if call.code == 400:
        return refused(refuse)
    return refused(gone) if call.code == 404 else []


# reading


def _show(call: Call) -> list[Plan]:
    def read(volume: Volume) -> Iterator[Volume]:
        if not volume.gone and (call.seen["status"], call.seen["size_gib"]) == (volume.status, volume.size_gib):
            attached = dict.fromkeys(call.seen["attached"])
            yield from volume.seen(attached, lambda held: held.state == "attached", lambda held: None)

    if call.code == 200:
        return [(Step("read", read),)]
    return refused(gone) if call.code == 404 else []


def _list(call: Call) -> list[Plan]:
    def read(volume: Volume) -> Iterator[Volume]:
        look = {id: tuple(said) for id, said in call.seen["held"].items()}
        return volume.seen(
            look, lambda held: held.origin != "hold", lambda held: (held.state, held.mode, held.instance)
        )

    return [(Step("read", read),)] if call.code == 200 else []


VERBS: Mapping[str, Callable[[Call], list[Plan]]] = {
    "create": _create,
    "update": _update,
    "complete": _complete,
    "delete": _delete,
    "delete-volume": _delete_volume,
    "extend": _extend,
    "reset": _reset,
    "readonly": _readonly,
    "show": _show,
    "list": _list,
    **old_plans.VERBS,
}
