"""
A volume and its attachments as one caller at a time would see them: small enough to be read at once.

It is written from the promises, not from the code.  What it does not have: projects, quotas, bytes, processes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

OPEN = ("attaching", "attached", "detaching")
SHARED = ("available", "in-use", "reserved", "attaching", "detaching")
MOVING = ("in-use", "reserved", "attaching")
DELETABLE = ("available", "error")


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

    @property
    def host(self) -> str | None:
        return self.place.split("|")[0] if self.place else None


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
        return self.override or of_attachments(held.state for held in self.held)

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
        return replace(self, held=tuple(replace(held, opener=None, closer=None) for held in self.held))

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


def of_attachments(states: Iterable[str]) -> str:
    """The status of a volume that nothing is being done to."""
    found = set(states)
    if found & {"attached", "error_attaching", "error_detaching"}:
        return "in-use"
    return next((state for state in ("attaching", "detaching", "reserved") if state in found), "available")
