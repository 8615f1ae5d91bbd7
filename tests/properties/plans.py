"""
Which ways a call may have gone that was answered as it was: each verb of the API over the model.

An answer to `create`, `update` and `delete` that waited for work was read after it, so that it is a step of its own.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tests.properties import checker
from tests.properties.checker import Step
from tests.properties.history import Call
from tests.properties.model import OPEN, Held, Volume

Effect = checker.Effect[Volume]
Plan = checker.Plan[Volume]


def plans(call: Call) -> list[Plan]:
    """The plans of a call; none where no call of its verb is ever answered like that."""
    return VERBS[call.verb](call)


def _if(holds: Callable[[Volume], bool]) -> Effect:
    """Nothing changes; `holds` is true at that moment."""

    def effect(volume: Volume) -> Iterator[Volume]:
        if holds(volume):
            yield volume

    return effect


def _refused(holds: Callable[[Volume], bool]) -> list[Plan]:
    return [(Step("refused", _if(holds)),)]


def _gone(volume: Volume) -> bool:
    return volume.gone


def _says(call: Call, volume: Volume) -> bool:
    """Whether a refusal names the status that the volume has."""
    return call.seen.get("status") in (None, volume.status)


# attachments


def _create(call: Call) -> list[Plan]:
    asked, id, place = call.asked, str(call.seen.get("id")), call.asked["place"]

    def refuse(volume: Volume) -> bool:
        return not volume.gone and not volume.reservable(asked["instance"]) and _says(call, volume)

    def twice(volume: Volume) -> bool:
        return bool(place) and volume.reservable(asked["instance"]) and volume.twice(id, place, moving=True)

    def begin(volume: Volume) -> Iterator[Volume]:
        if volume.reservable(asked["instance"]) and not (place and volume.twice(id, place, moving=True)):
            held = Held(id, asked["instance"], mode="ro" if volume.readonly else asked["mode"])
            yield volume.having(_opening(volume, held, call) if place else held)

    if call.code == 400:
        return _refused(refuse)
    reserve = Step("reserve", begin)
    if call.code == 200 and not place:
        return [(Step("reserve", _both(begin, _shown(call, id))),)]
    if call.code == 200:
        return [(reserve, Step("open", _opened(id, call)), Step("show", _shown(call, id)))]
    if call.code == 409:
        return [*_refused(twice), (reserve, Step("overtaken", _overtaken(id, call)))]
    if call.code == 404 and "id" in call.seen:
        gone = Step("gone", _if(lambda volume: volume.find(id) is None))
        return [(reserve, Step("open", _opened(id, call)), gone)]
    return _refused(_gone) if call.code == 404 else []


def _opening(volume: Volume, held: Held, call: Call) -> Held:
    mode = "ro" if volume.readonly else held.mode or call.asked["connector_mode"] or "rw"
    return replace(
        held,
        state="attaching",
        mode=mode,
        place=call.asked["place"],
        ready=False,
        generation=held.generation + 1,
        opener=call.number,
    )


def _opened(id: str, call: Call) -> Effect:
    def effect(volume: Volume) -> Iterator[Volume]:
        held = volume.find(id)
        if held is not None and held.state == "attaching" and held.opener == call.number:
            yield volume.having(replace(held, ready=True))

    return effect


def _overtaken(id: str, call: Call) -> Effect:
    def holds(volume: Volume) -> bool:
        held = volume.find(id)
        return held is None or held.state != "attaching" or held.opener != call.number

    return _if(holds)


def _shown(call: Call, id: str) -> Effect:
    def holds(volume: Volume) -> bool:
        held = volume.find(id)
        return held is not None and _looks(held) == {name: call.seen[name] for name in _looks(held)}

    return _if(holds)


def _looks(held: Held) -> Mapping[str, Any]:
    return {"state": held.state, "mode": held.mode, "ready": held.ready, "generation": held.generation}


def _both(first: Effect, second: Effect) -> Effect:
    """Both at one moment."""

    def effect(volume: Volume) -> Iterator[Volume]:
        for between in first(volume):
            yield from second(between)

    return effect


def _update(call: Call) -> list[Plan]:
    id, place = call.asked["id"], call.asked["place"]

    def same(volume: Volume) -> bool:
        held = volume.find(id)
        if held is None or "error" in volume.status or volume.twice(id, place, moving=False):
            return False
        return held.place == place and held.state in ("attaching", "attached")

    def ready(volume: Volume) -> bool:
        held = volume.find(id)
        return same(volume) and held is not None and held.ready

    def waits(volume: Volume) -> bool:
        return same(volume) and not ready(volume)

    def begin(volume: Volume) -> Iterator[Volume]:
        held = volume.find(id)
        if held is None or held.state == "detaching" or same(volume) or refuse(volume):
            return
        yield volume.having(_opening(volume, held, call))

    def refuse(volume: Volume) -> bool:
        held = volume.find(id)
        if held is None:
            return False
        return "error" in volume.status or volume.twice(id, place, moving=False) or held.state == "detaching"

    def missing(volume: Volume) -> bool:
        return volume.find(id) is None

    def passed_over(volume: Volume) -> bool:
        held = volume.find(id)
        return held is None or held.state == "detaching" or held.place != place

    opening, joining = Step("begin", begin), Step("join", _if(waits))
    opened, show = Step("open", _opened(id, call)), Step("show", _shown(call, id))
    if call.code == 200:
        return [(opening, opened, show), (joining, show), (Step("same", _both(_if(ready), _shown(call, id))),)]
    if call.code == 409:
        late = Step("overtaken", _overtaken(id, call))
        return [*_refused(refuse), (opening, late), (joining, Step("overtaken", _if(passed_over)))]
    if call.code == 404:
        gone = Step("gone", _if(missing))
        return [(gone,), (opening, opened, gone), (joining, gone)]
    return []


def _complete(call: Call) -> list[Plan]:
    id = call.asked["id"]

    def complete(volume: Volume) -> Iterator[Volume]:
        held = volume.find(id)
        if held is not None and (held.state in ("reserved", "attached") or (held.state == "attaching" and held.ready)):
            yield volume.having(replace(held, state="attached"))

    def refuse(volume: Volume) -> bool:
        return volume.find(id) is not None and not list(complete(volume))

    if call.code == 204:
        return [(Step("complete", complete),)]
    if call.code == 409:
        return _refused(refuse)
    return _refused(lambda volume: volume.find(id) is None) if call.code == 404 else []


def _delete(call: Call) -> list[Plan]:
    id, trusted = call.asked["id"], call.asked["trusted"]

    def guarded(volume: Volume) -> bool:
        held = volume.find(id)
        return held is not None and bool(held.instance) and held.ready and not trusted

    def at_once(volume: Volume) -> Iterator[Volume]:
        held = volume.find(id)
        if held is not None and held.place is None and not guarded(volume):
            yield volume.without(id)

    def begin(volume: Volume) -> Iterator[Volume]:
        held = volume.find(id)
        if held is not None and held.place is not None and held.state != "detaching" and not guarded(volume):
            yield volume.having(replace(held, state="detaching", closer=call.number))

    def joins(volume: Volume) -> bool:
        held = volume.find(id)
        return held is not None and held.state == "detaching" and not guarded(volume)

    def listed(volume: Volume) -> bool:
        return {held.id: held.state for held in volume.held} == call.seen["remaining"]

    def over(volume: Volume) -> bool:
        return volume.find(id) is None and listed(volume)

    if call.code == 200:
        released, rest = Step("release", _released(call)), Step("list", _if(listed))
        return [
            (Step("release", _both(at_once, _if(listed))),),
            (Step("begin", begin), released, rest),
            (Step("join", _if(joins)), Step("list", _if(over))),
        ]
    if call.code == 409:
        return _refused(guarded)
    return _refused(lambda volume: volume.find(id) is None) if call.code == 404 else []


def _released(call: Call) -> Effect:
    """All that this call has begun to close is over."""

    def effect(volume: Volume) -> Iterator[Volume]:
        yield volume.without(*(held.id for held in volume.held if held.closer == call.number))

    return effect


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
        return [(Step("begin", begin), Step("gone", end, late=True)), (Step("again", _if(again)),)]
    if call.code == 400:
        return _refused(refuse)
    return _refused(_gone) if call.code == 404 else []


def _extend(call: Call) -> list[Plan]:
    size = call.asked["size_gib"]

    def begin(volume: Volume) -> Iterator[Volume]:
        if not volume.gone and volume.status == "available" and size > volume.size_gib:
            yield replace(volume, extending=size)

    def end(volume: Volume) -> Iterator[Volume]:
        yield replace(volume, extending=None, size_gib=size)

    def refuse(volume: Volume) -> bool:
        return not volume.gone and not list(begin(volume)) and _says(call, volume)

    if call.code == 202:
        return [(Step("begin", begin), Step("longer", end, late=True))]
    if call.code == 413:
        return _refused(lambda volume: bool(list(begin(volume))))
    if call.code == 400:
        return _refused(refuse)
    return _refused(_gone) if call.code == 404 else []


def _reset(call: Call) -> list[Plan]:
    to = call.asked["to"]

    def begin(volume: Volume) -> Iterator[Volume]:
        if volume.gone or (to == "in-use" and not volume.held):
            return
        after = replace(volume, override=to if to == "error" else None)
        if to == "available":
            after = after.without(*(held.id for held in volume.held if held.place is None))
            for held in after.held:
                if held.state != "detaching":
                    after = after.having(replace(held, state="detaching", closer=call.number))
        yield after

    def refuse(volume: Volume) -> bool:
        without_bytes = volume.deleting and to == "available"  # at some moment of its deletion it has none any more
        return not volume.gone and (without_bytes or not list(begin(volume)))

    if call.code == 202:
        return [(Step("begin", begin), Step("release", _released(call)))]
    if call.code == 400:
        return _refused(refuse)
    return _refused(_gone) if call.code == 404 else []


def _readonly(call: Call) -> list[Plan]:
    def change(volume: Volume) -> Iterator[Volume]:
        if not volume.gone and volume.status == "available":
            yield replace(volume, readonly=call.asked["readonly"])

    def refuse(volume: Volume) -> bool:
        return not volume.gone and volume.status != "available" and _says(call, volume)

    if call.code == 202:
        return [(Step("change", change),)]
    if call.code == 400:
        return _refused(refuse)
    return _refused(_gone) if call.code == 404 else []


# reading


def _show(call: Call) -> list[Plan]:
    def holds(volume: Volume) -> bool:
        attached = {held.id for held in volume.held if held.state == "attached"}
        said = (call.seen["status"], call.seen["size_gib"], call.seen["attached"])
        return not volume.gone and said == (volume.status, volume.size_gib, attached)

    if call.code == 200:
        return [(Step("read", _if(holds)),)]
    return _refused(_gone) if call.code == 404 else []


def _list(call: Call) -> list[Plan]:
    def holds(volume: Volume) -> bool:
        return {held.id: (held.state, held.mode, held.instance) for held in volume.held} == call.seen["held"]

    return [(Step("read", _if(holds)),)] if call.code == 200 else []


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
}

__all__ = ["OPEN", "VERBS", "plans"]
