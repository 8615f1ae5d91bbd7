"""
The same for the calls that name no attachment: os-reserve, os-attach and their like.

Where the promises do not say which one of several is meant, the model takes any.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from tests.properties.checker import Step
from tests.properties.connecting import connecting
from tests.properties.effects import Plan, ending, fresh, gone, guarded, holdable, holds, refused, says, withdrawing
from tests.properties.history import Call
from tests.properties.model import SHARED, Held, Volume

# holds


def _plain(volume: Volume, call: Call) -> list[Held]:
    """The holds without a place that the call may end: of a volume for several only those of its user."""
    plain = [held for held in holds(volume) if not held.door]
    return [held for held in plain if held.user == call.asked["as_"] or not volume.shared]


def _reserve(call: Call) -> list[Plan]:
    def reserve(volume: Volume) -> Iterator[Volume]:
        if not volume.gone and holdable(volume):
            yield volume.having(fresh(call, volume, "hold"))

    if call.code == 202:
        return [(Step("reserve", reserve),)]
    if call.code == 400:
        return refused(lambda volume: not volume.gone and not holdable(volume) and says(call, volume))
    return refused(gone) if call.code == 404 else []


def _unreserve(call: Call) -> list[Plan]:
    def begin(volume: Volume) -> Iterator[Volume]:
        if volume.gone:
            return
        meant = _plain(volume, call) or ([] if volume.shared else holds(volume))
        for held in meant:
            yield from withdrawing(volume, [held.id], call)
        if not meant:
            yield volume

    if call.code == 202:
        return ending(call, begin)
    return refused(gone) if call.code == 404 else []


# attaching


def _is_of(held: Held, call: Call) -> bool:
    server, host = call.asked["instance"], call.asked["host"]
    if server:
        return bool(held.instance == server)
    return held.instance is None and held.host == host


def _candidates(volume: Volume, call: Call) -> Sequence[Held]:
    """Those that os-attach may mean, of which it takes one: what the holder has, else a hold that can only be his."""
    had = [held for held in volume.held if held.origin != "hold" and _is_of(held, call)]
    if had:
        return [held for held in had if held.state != "detaching"] or had
    free = [held for held in holds(volume) if held.state != "detaching"]
    placed, plain = [held for held in free if held.place], [held for held in free if not held.place]
    if not volume.shared:
        return placed or plain
    here = [held for held in placed if call.asked["host"] and held.host == call.asked["host"]]
    own = [held for held in placed if held.user == call.asked["as_"]]
    return here or (own if call.asked["instance"] and len(own) == 1 else []) or plain


def _attach(call: Call) -> list[Plan]:
    mode, server, host = call.asked["mode"], call.asked["instance"], call.asked["host"]

    def permitted(volume: Volume) -> bool:
        return not volume.gone and not (volume.readonly and mode == "rw") and volume.status in SHARED

    def fits(held: Held) -> bool:
        if held.state not in ("reserved", "attaching", "attached") or (held.state == "attaching" and not held.ready):
            return False
        return not (mode and held.mode and mode != held.mode)

    def free(volume: Volume) -> bool:
        return volume.shared or volume.status == "available"

    def attach(volume: Volume) -> Iterator[Volume]:
        if not permitted(volume):
            return
        for held in _candidates(volume, call):
            if fits(held):
                yield volume.having(settled(held))
        if not _candidates(volume, call) and free(volume):
            yield volume.having(settled(fresh(call, volume, "old", mode or "rw")))

    def settled(held: Held) -> Held:
        named = host if not server and not held.host else held.named
        more = {"instance": server or held.instance, "mode": held.mode or mode or "rw", "named": named}
        return replace(held, state="attached", origin=held.origin and "old", leaving=False, **more)

    def refuse(volume: Volume) -> bool:
        candidates = _candidates(volume, call)
        unfit = not all(fits(held) for held in candidates) if candidates else not free(volume)
        return not volume.gone and (not permitted(volume) or unfit) and says(call, volume)

    if call.code == 202:
        return [(Step("attach", attach),)]
    if call.code == 400:
        return refused(refuse)
    return refused(gone) if call.code == 404 else []


# leaving


def _begin_detaching(call: Call) -> list[Plan]:
    def begin(volume: Volume) -> Iterator[Volume]:
        if not volume.gone and volume.status == "in-use":
            for held in volume.held:
                if held.state == "attached" and not held.leaving:
                    yield volume.having(replace(held, leaving=True))

    if call.code == 202:
        return [(Step("begin", begin),)]
    if call.code == 400:
        return refused(lambda volume: not volume.gone and not list(begin(volume)))
    return refused(gone) if call.code == 404 else []


def _roll_detaching(call: Call) -> list[Plan]:
    def roll(volume: Volume) -> Iterator[Volume]:
        if volume.gone:
            return
        leaving = [held for held in volume.held if held.leaving]
        yield from (volume.having(replace(held, leaving=False)) for held in leaving)
        if not leaving:
            yield volume

    if call.code == 202:
        return [(Step("roll", roll),)]
    return refused(gone) if call.code == 404 else []


def _disconnect(call: Call) -> list[Plan]:
    place = call.asked["place"]

    def attached(volume: Volume) -> list[Held]:
        """The attachments that are open at that place, of which one is closed and several are left alone."""
        there = [held for held in volume.held if held.is_at(place) and held.door]
        if any(held.origin == "hold" for held in there):
            return []
        return [held for held in there if held.state != "detaching"]

    def refuse(volume: Volume) -> bool:
        meant = attached(volume)
        return not volume.gone and len(meant) == 1 and guarded(meant[0], call)

    def begin(volume: Volume) -> Iterator[Volume]:
        if volume.gone or refuse(volume):
            return
        there = [held for held in volume.held if held.is_at(place)]
        reserving = [held for held in there if held.origin == "hold"]
        closing = [held for held in there if held.state == "detaching"]
        several = len(attached(volume)) > 1
        meant = [] if several else attached(volume) or reserving or closing or ([] if there else _plain(volume, call))
        for held in meant:
            yield from withdrawing(volume, [held.id], call, keep=held.origin != "hold")
        if not meant:
            yield volume

    if call.code == 202:
        return ending(call, begin)
    if call.code == 409:
        return refused(refuse)
    return refused(gone) if call.code == 404 else []


def _meant(volume: Volume, call: Call) -> list[Held]:
    """What os-detach means: what it names, else the only one, else the hold of a volume for one."""
    if call.asked["id"]:
        return [held for held in volume.held if held.id == call.asked["id"]]
    rows = [held for held in volume.held if held.origin != "hold"]
    return rows or ([] if volume.shared else holds(volume))


def _detach(call: Call) -> list[Plan]:
    def refuse(volume: Volume) -> bool:
        meant = _meant(volume, call)
        return not volume.gone and (len(meant) > 1 or any(guarded(held, call) for held in meant))

    def begin(volume: Volume) -> Iterator[Volume]:
        if not volume.gone and not refuse(volume):
            place, ids = call.asked["place"], {held.id for held in _meant(volume, call)}
            ids |= {held.id for held in holds(volume) if held.is_at(place)}
            yield from withdrawing(volume, ids, call)

    if call.code == 202:
        return ending(call, begin)
    if call.code == 409:
        return refused(refuse)
    return refused(gone) if call.code == 404 else []


# looking


def _census(call: Call) -> list[Plan]:
    """What Moorage itself says of all of them, holds too, when nothing is under way."""

    def look(held: Held) -> tuple[object, ...]:
        leaving = call.asked["leaving"] and held.leaving
        return held.state, held.mode, held.instance, held.generation, held.origin == "hold", leaving

    def read(volume: Volume) -> Iterator[Volume]:
        return volume.seen(call.seen["held"], lambda held: True, look)

    return [(Step("read", read),)] if call.code == 200 else []


VERBS: Mapping[str, Callable[[Call], list[Plan]]] = {
    "reserve": _reserve,
    "unreserve": _unreserve,
    "connect": connecting,
    "attach": _attach,
    "begin-detaching": _begin_detaching,
    "roll-detaching": _roll_detaching,
    "disconnect": _disconnect,
    "detach": _detach,
    "force-detach": _detach,
    "census": _census,
}
