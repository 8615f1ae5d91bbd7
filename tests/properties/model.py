"""
A volume and its attachments as one caller at a time would see them: small enough to be read at once.

It is written from the promises, not from the code.  What it does not have: projects, quotas, bytes, processes.

What the calls that name no attachment make has no id that anybody was told: it has a name of ours, which begins with
`UNNAMED`, until somebody sees it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

OPEN = ("attaching", "attached", "detaching")
SHARED = ("available", "in-use", "reserved", "attaching", "detaching")
MOVING = ("in-use", "reserved", "attaching")
DELETABLE = ("available", "error")
UNNAMED = "?"


@dataclass(frozen=True)
class Held:
    """An attachment that is not over. `ready`: its door stands open."""

    id: str
    instance: str | None = None
    state: str = "reserved"
    mode: str | None = None
    place: str | None = None  #: where its holder is, and by which door he comes
    ready: bool = False
    generation: int = 0
    opener: int | None = None  #: the call that is opening its door
    closer: int | None = None  #: the call that is closing it
    door: bool = False  #: there is one, which stands open or is being opened or closed
    origin: str | None = None  #: "hold": nobody is attached yet, and it is not listed; "old": os-attach has made it
    leaving: bool = False  #: somebody has said that he means to detach it
    kept: str | None = None  #: it stays when its door is closed, in this state
    user: str | None = None  #: who has made it
    named: str | None = None  #: the host that os-attach has named
    joiners: frozenset[int] = frozenset()  #: the calls that wait for what another one has begun to do to it

    @property
    def host(self) -> str | None:
        return self.place.split("|")[0] if self.place else self.named

    @property
    def standing(self) -> str:
        """What it counts as in its volume's status: a hold is on its way in, one that is leaving on its way out."""
        if self.origin == "hold" and self.state == "reserved":
            return "attaching"
        return "detaching" if self.leaving and self.state == "attached" else self.state

    def is_at(self, place: str | None) -> bool:
        """Whether it is at `place` as the old calls have it: for reading or writing does not count there."""
        return bool(self.place and place) and spot(str(self.place)) == spot(str(place))

    @property
    def is_named(self) -> bool:
        return not self.id.startswith(UNNAMED)


@dataclass(frozen=True)
class Volume:
    """A volume; what an operation is doing to it stands in `deleting` and `extending`."""

    shared: bool = False
    size_gib: int = 1
    readonly: bool = False
    override: str | None = None
    deleting: bool = False
    gone: bool = False
    extending: int | None = None
    held: tuple[Held, ...] = ()

    @property
    def status(self) -> str:
        """What it must be called."""
        if self.deleting:
            return "deleting"
        if self.extending is not None:
            return "extending"
        return self.override or of_attachments(held.standing for held in self.held)

    def find(self, id: str) -> Held | None:
        return next((held for held in self.held if held.id == id), None)

    def others(self, id: str) -> tuple[Held, ...]:
        return tuple(held for held in self.held if held.id != id)

    def having(self, held: Held) -> "Volume":
        """With `held`, instead of what it had of that id."""
        return replace(self, held=tuple(sorted((*self.others(held.id), held), key=lambda one: one.id)))

    def without(self, *ids: str) -> "Volume":
        return replace(self, held=tuple(one for one in self.held if one.id not in ids))

    @property
    def settled(self) -> "Volume":
        """Without the marks of who was at work."""
        over = {"opener": None, "closer": None, "joiners": frozenset()}
        return replace(self, held=tuple(replace(held, **over) for held in self.held))  # type: ignore[arg-type]

    def renamed(self, names: Mapping[str, str]) -> "Volume":
        """With the ids that are known now."""
        known = (replace(held, id=names.get(held.id, held.id)) for held in self.held)
        return replace(self, held=tuple(sorted(known, key=lambda one: one.id)))

    def seen(
        self, said: Mapping[str, Any], among: Callable[[Held], bool], looks: Callable[[Held], Any]
    ) -> "Iterator[Volume]":
        """
        As somebody has seen it: those `among` which he looked are the ones of `said`, by id, and look as it says. Those
        without an id have one each of the ids that are left, in every way in which that may be.
        """
        there = [held for held in self.held if among(held)]
        if len(there) != len(said) or any(said.get(held.id, looks) != looks(held) for held in there if held.is_named):
            return
        nameless = [held for held in there if not held.is_named]
        left = sorted(set(said) - {held.id for held in there})
        for ids in permutations(left):
            if all(said[id] == looks(held) for id, held in zip(ids, nameless, strict=True)):
                yield self.renamed({held.id: id for id, held in zip(ids, nameless, strict=True)})

    def reservable(self, instance: str | None) -> bool:
        """Whether a further attachment, for `instance`, may be made."""
        if self.gone or "error" in self.status:
            return False
        if self.status == "available" or (self.shared and self.status in SHARED):
            return True
        same = instance is not None and all(held.instance == instance for held in self.held)
        return bool(self.held) and same and self.status in MOVING

    def twice(self, id: str, place: str, *, moving: bool) -> bool:
        """
        Whether `id` would be a second user of a volume for one. A server that is moving may have its volume on two
        hosts, not twice on one.
        """
        if self.shared:
            return False
        placed = [one for one in self.others(id) if one.place is not None]
        return any(not moving or one.host == place.split("|", 1)[0] for one in placed)


def spot(place: str) -> str:
    """Where a place is, and by which door, whatever for."""
    return "|".join(place.split("|")[:2])


def of_attachments(states: Iterable[str]) -> str:
    """The status of a volume that nothing is being done to."""
    found = set(states)
    if found & {"attached", "error_attaching", "error_detaching"}:
        return "in-use"
    return next((state for state in ("attaching", "detaching", "reserved") if state in found), "available")
