"""What calls do to a volume at one moment: the words of which the plans of all of them are made."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

from tests.properties import checker
from tests.properties.checker import Step
from tests.properties.history import Call
from tests.properties.model import SHARED, UNNAMED, Held, Volume

Effect = checker.Effect[Volume]
Plan = checker.Plan[Volume]


def only_if(holds: Callable[[Volume], bool]) -> Effect:
    """Nothing changes; `holds` is true at that moment."""

    def effect(volume: Volume) -> Iterator[Volume]:
        if holds(volume):
            yield volume

    return effect


def refused(holds: Callable[[Volume], bool]) -> list[Plan]:
    return [(Step("refused", only_if(holds)),)]


def gone(volume: Volume) -> bool:
    return volume.gone


def missing(id: str) -> Callable[[Volume], bool]:
    return lambda volume: volume.find(id) is None


def says(call: Call, volume: Volume) -> bool:
    """Whether a refusal names the status that the volume has."""
    return call.seen.get("status") in (None, volume.status)


def both(first: Effect, second: Effect) -> Effect:
    """Both at one moment."""

    def effect(volume: Volume) -> Iterator[Volume]:
        for between in first(volume):
            yield from second(between)

    return effect


# holds


def holdable(volume: Volume) -> bool:
    """Whether the calls that name no attachment may have a further one."""
    return volume.status == "available" or (volume.shared and volume.status in SHARED)


def fresh(call: Call, volume: Volume, origin: str, mode: str | None = None) -> Held:
    """What such a call makes, which nobody has an id for yet."""
    mode = "ro" if volume.readonly else mode
    return Held(f"{UNNAMED}{call.number}", mode=mode, origin=origin, user=call.asked["as_"])


def holds(volume: Volume) -> list[Held]:
    return [held for held in volume.held if held.origin == "hold"]


# doors


def opening(volume: Volume, held: Held, call: Call) -> Held:
    """The attachment, to which the call opens a door where its holder is."""
    return replace(
        held,
        state="attaching",
        mode="ro" if volume.readonly else held.mode or call.asked["connector_mode"] or "rw",
        place=call.asked["place"],
        ready=False,
        generation=held.generation + 1,
        opener=call.number,
        door=True,
        leaving=False,
        joiners=frozenset(),
    )


def _opens(call: Call, volume: Volume) -> Held | None:
    """What the call is opening."""
    return next((one for one in volume.held if one.state == "attaching" and one.opener == call.number), None)


def opened(call: Call) -> Effect:
    """The door stands open that this call has begun to open."""

    def effect(volume: Volume) -> Iterator[Volume]:
        held = _opens(call, volume)
        if held is not None:
            yield volume.having(replace(held, ready=True))

    return effect


def overtaken(call: Call) -> Effect:
    """Something else became of what this call has begun to open."""
    return only_if(lambda volume: _opens(call, volume) is None)


def joined(volume: Volume, held: Held, call: Call) -> Volume:
    """The call waits for the end of what another one does to the attachment."""
    return volume.having(replace(held, joiners=held.joiners | {call.number}))


def passed_over(call: Call) -> Effect:
    """Something else became of the door for which this call waits."""

    def holds(volume: Volume) -> bool:
        waited = [held for held in volume.held if call.number in held.joiners]
        return not any(held.door and held.state in ("attaching", "attached") for held in waited)

    return only_if(holds)


def shown(call: Call, id: str) -> Effect:
    def holds(volume: Volume) -> bool:
        held = volume.find(id)
        return held is not None and looks(held) == {name: call.seen[name] for name in looks(held)}

    return only_if(holds)


def looks(held: Held) -> Mapping[str, Any]:
    return {"state": held.state, "mode": held.mode, "ready": held.ready, "generation": held.generation}


# ends


def guarded(held: Held, call: Call) -> bool:
    """Whether a server uses what its service has made, and somebody else wants to take it away."""
    uses = bool(held.instance) and held.ready and held.origin is None
    return uses and not call.asked["trusted"]


def withdrawing(volume: Volume, ids: Collection[str], call: Call, *, keep: bool = False) -> Iterator[Volume]:
    """
    The call closes the doors of the attachments: where there is none they are over, unless they are kept without. Who
    leaves without having said so may be whom another one's word was meant for, who then stays.
    """
    claims = [held for held in volume.held if held.id in ids]
    silent = sum(held.state == "attached" and not held.leaving for held in claims)
    after = volume
    for held in claims:
        if not held.door:
            after = after.without(held.id)
        elif held.state == "detaching":
            after = joined(after, held if keep else replace(held, kept=None), call)
        else:
            stays = "reserved" if held.state == "attaching" and held.origin is None else "attached"
            closing = replace(held, state="detaching", leaving=False, kept=stays if keep else None, closer=call.number)
            after = after.having(closing)
    rest = [held for held in after.held if held.id not in ids and held.leaving and (held.door or not held.place)]
    for meant in combinations(rest, min(silent, len(rest))):
        staying = after
        for held in meant:
            staying = staying.having(replace(held, leaving=False))
        yield staying


def released(call: Call) -> Effect:
    """All that this call has begun to close is over, or stays without a door."""

    def effect(volume: Volume) -> Iterator[Volume]:
        after = volume
        for held in volume.held:
            if held.closer == call.number:
                after = after.having(_closed(held)) if held.kept else after.without(held.id)
        yield after

    return effect


def _closed(held: Held) -> Held:
    """Without a door. Who was attached leaves; who was not is only reserved again."""
    was = str(held.kept)
    bare = replace(held, state=was, door=False, ready=False, kept=None, closer=None, joiners=frozenset())
    return replace(bare, leaving=True) if was == "attached" else replace(bare, place=None)


def ending(call: Call, begin: Effect, told: Effect | None = None) -> list[Plan]:
    """
    The plans of a call that closes doors in `begin`, and is answered once those are closed that it has closed; then it
    may be `told` what there is.
    """

    def is_closing(volume: Volume) -> bool:
        return any(held.closer == call.number for held in volume.held)

    def waits(volume: Volume) -> bool:
        return not is_closing(volume) and any(call.number in held.joiners for held in volume.held)

    def at_once(volume: Volume) -> bool:
        return not is_closing(volume) and not waits(volume)

    over = Step("over", only_if(lambda volume: not any(call.number in held.joiners for held in volume.held)))
    rest = (Step("told", told),) if told else ()
    end = both(begin, only_if(at_once))
    return [
        (Step("end", both(end, told) if told else end),),
        (Step("begin", both(begin, only_if(is_closing))), Step("release", released(call)), *rest),
        (Step("join", both(begin, only_if(waits))), over, *rest),
    ]
