"""Which ways os-initialize_connection may have gone: to who is there, to who has a hold, or with a new hold."""

from collections.abc import Iterator
from dataclasses import replace

from tests.properties.checker import Step
from tests.properties.effects import (
    Plan,
    fresh,
    gone,
    holdable,
    holds,
    joined,
    missing,
    only_if,
    opened,
    opening,
    overtaken,
    passed_over,
    refused,
    says,
)
from tests.properties.history import Call
from tests.properties.model import UNNAMED, Held, Volume


def connecting(call: Call) -> list[Plan]:
    return Connecting(call).plans()


class Connecting:
    """One such call. Of which attachment its answer speaks is known where it names one."""

    def __init__(self, call: Call) -> None:
        self.call, self.place = call, call.asked["place"]
        self.told = "id" in call.seen
        self.id = str(call.seen.get("id", f"{UNNAMED}{call.number}"))

    def plans(self) -> list[Plan]:
        call = self.call
        start, joining = Step("begin", self.begin), Step("join", self.join)
        open_, show = Step("open", opened(call)), Step("show", self.shows)
        if call.code == 200:
            return [(Step("same", self.same),), (start, open_, show), (joining, show)]
        if call.code == 400:
            return refused(lambda volume: self.refuses(volume) and says(call, volume))
        if call.code == 409:
            late, over = Step("overtaken", overtaken(call)), Step("overtaken", passed_over(call))
            other = Step("another", only_if(self.lost))
            return [*refused(self.twice), (start, late), (start, open_, other), (joining, over), (joining, other)]
        if call.code == 404 and self.told:
            away = Step("gone", only_if(missing(self.id)))
            return [(start, open_, away), (joining, away)]
        return refused(gone) if call.code == 404 else []

    def there(self, volume: Volume) -> list[Held]:
        return [held for held in volume.held if held.is_at(self.place) and held.state != "detaching"]

    def refuses(self, volume: Volume) -> bool:
        nothing = not self.there(volume) and not [held for held in holds(volume) if not held.place]
        return not volume.gone and ("error" in volume.status or (nothing and not holdable(volume)))

    def standing_open(self, volume: Volume) -> Iterator[tuple[Volume, Held]]:
        if not volume.gone and "error" not in volume.status:
            for held in self.there(volume):
                if held.door:
                    yield from self.known(volume, held)

    def known(self, volume: Volume, held: Held) -> Iterator[tuple[Volume, Held]]:
        """The attachment, if it may be that of which the answer speaks, with its name."""
        if not held.is_named and self.told and volume.find(self.id) is None:
            volume = volume.renamed({held.id: self.id})
            held = volume.find(self.id) or held
        if not self.told or held.id == self.id:
            yield volume, held

    def join(self, volume: Volume) -> Iterator[Volume]:
        for state, held in self.standing_open(volume):
            if not held.ready:
                yield joined(state, held, self.call)

    def same(self, volume: Volume) -> Iterator[Volume]:
        for state, _ in self.standing_open(volume):
            yield from self.shows(state)

    def closed(self, volume: Volume) -> list[Held]:
        """What has no door yet, and may be given one."""
        if volume.gone or "error" in volume.status:
            return []
        there = self.there(volume)
        return [held for held in there or holds(volume) if not held.door and (there or not held.place)]

    def begin(self, volume: Volume) -> Iterator[Volume]:
        for one in self.closed(volume):
            for state, held in self.known(volume, one):
                if not state.twice(held.id, self.place, moving=False):
                    yield state.having(opening(state, replace(held, user=self.call.asked["as_"]), self.call))
        needs_one = not self.there(volume) and not self.closed(volume) and volume.find(self.id) is None
        if not volume.gone and not self.refuses(volume) and needs_one:
            made = replace(fresh(self.call, volume, "hold"), id=self.id)
            yield volume.having(opening(volume, made, self.call))

    def twice(self, volume: Volume) -> bool:
        return any(volume.twice(held.id, self.place, moving=False) for held in self.closed(volume))

    def stands(self, held: Held) -> bool:
        """Whether it stands open at that place."""
        return held.is_at(self.place) and held.ready and held.state in ("attaching", "attached")

    def shows(self, volume: Volume) -> Iterator[Volume]:
        held, seen = volume.find(self.id), self.call.seen
        if (
            held is not None
            and self.stands(held)
            and (held.mode, held.generation) == (seen["mode"], seen["generation"])
        ):
            yield volume

    def lost(self, volume: Volume) -> bool:
        """What was opened, or waited for, does not stand open at that place any more."""
        n = self.call.number
        return not any(self.stands(held) for held in volume.held if n in held.joiners or held.opener == n)
