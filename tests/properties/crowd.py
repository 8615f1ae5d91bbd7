"""
What a batch is made of: drawn from a generator of random numbers, by weights.

Hypothesis gives the seed.  Left to draw each call by itself it prefers what is small and what it has drawn before, and
a crowd is neither: most of its batches would do nothing to an empty volume.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

from tests.properties import old_calls
from tests.properties.model import Volume
from tests.properties.places import ADMIN, HERE, USER, Place
from tests.properties.world import Asked

INSTANCES = ("1" * 8 + "-0000-4000-8000-" + "1" * 12, "2" * 8 + "-0000-4000-8000-" + "2" * 12)
HOSTS = (HERE, "h1", "h2", "elsewhere")
CALLS_AT_MOST = 7
HELD_AT_MOST = 6  #: where there are more, calls only end some

# fmt: off
WEIGHTS = {
    "create": 6, "update": 5, "complete": 5, "delete": 4,
    "show": 2, "list": 2,
    "extend": 1, "readonly": 1, "reset": 1, "delete-volume": 1,
    "reserve": 2, "unreserve": 2, "connect": 4, "attach": 4,
    "begin-detaching": 2, "roll-detaching": 1, "disconnect": 3, "detach": 2, "force-detach": 1,
}
# fmt: on

ENDING = ("delete", "unreserve", "disconnect", "detach", "force-detach", "show", "list")
OF_ATTACHMENTS = ("update", "complete", "delete")


class Crowd:
    """Who does what, drawn by `random`, among these places."""

    def __init__(self, random: Random, places: Sequence[Place]) -> None:
        self._random, self._places = random, places

    def batch(self, volumes: Sequence[tuple[str, Volume]]) -> list[Asked]:
        """Calls that are to be made at once. In half of the batches all of them meet at one attachment."""
        count = self._random.randint(2, CALLS_AT_MOST)
        id, state = self._random.choice(volumes)
        which = self._random.randrange(6)
        meet = self._random.random() < 0.5
        asked = []
        for _ in range(count):
            if not meet:
                (id, state), which = self._random.choice(volumes), self._random.randrange(6)
            asked.append(self._call(id, state, which))
        return asked + [self._relief(id, state) for id, state in volumes if state.override and self._half()]

    def _half(self) -> bool:
        return self._random.random() < 0.5

    def _relief(self, id: str, state: Volume) -> Asked:
        """Somebody takes back what an administrator has said of the volume, so that it goes on."""
        return Asked(id, "reset", {"to": "in-use" if state.held else "available"})

    def _call(self, id: str, state: Volume, which: int) -> Asked:
        weights = WEIGHTS if len(state.held) < HELD_AT_MOST else {verb: WEIGHTS[verb] for verb in ENDING}
        verb = self._random.choices(list(weights), list(weights.values()))[0]
        if verb in OF_ATTACHMENTS and not state.held:
            verb = "create"
        what: dict[str, Any] = {"id": state.held[which % len(state.held)].id} if verb in OF_ATTACHMENTS else {}
        return Asked(id, verb, what | self._details(verb, state))

    def _details(self, verb: str, state: Volume) -> dict[str, Any]:
        choose = self._random.choice
        if verb == "create":
            mode, at = choose([None, "rw", "ro"]), choose([None, *self._places])
            return {"instance": choose([None, *INSTANCES]), "mode": mode, **where(at)}
        if verb == "update":
            return where(choose(self._places))
        if verb == "delete":
            return {"trusted": self._half()}
        if verb in old_calls.VERBS:
            return self._old(verb, state)
        if verb == "extend":
            return {"size_gib": state.size_gib + choose([0, 1, 1])}
        if verb == "readonly":
            return {"readonly": self._half()}
        if verb == "reset":
            return {"to": choose(["available", "error", "in-use", "in-use"])}
        return {}

    def _old(self, verb: str, state: Volume) -> dict[str, Any]:
        """The calls that name no attachment. Where one names a place, in half of the cases somebody is there."""
        choose = self._random.choice
        what: dict[str, Any] = {"as_": ADMIN if verb == "force-detach" else choose([USER, USER, ADMIN])}
        if verb in ("connect", "disconnect", "force-detach"):
            taken = [at for at in self._places if any(held.is_at(at.key) for held in state.held)]
            at = choose(taken) if taken and self._half() else choose(self._places)
            what |= where(at if verb != "force-detach" or self._half() else None)
        if verb == "connect":
            what["as_"] = what["at"].as_
        if verb == "attach":
            server = choose([None, *INSTANCES])
            what |= {"instance": server, "host": None if server else choose(HOSTS), "mode": choose([None, "rw", "ro"])}
        if verb in ("detach", "force-detach"):
            named = [held.id for held in state.held if held.is_named]
            what |= {"place": None} | what
            what["id"] = choose(named) if named and self._half() else None
        return what | {"trusted": what["as_"] == ADMIN}


def where(at: Place | None) -> dict[str, Any]:
    """A place, as calls ask for it and as the model knows it."""
    return {"at": at, "place": at.key if at else None, "connector_mode": at.mode if at else None}
