"""
The state machine: batches of calls at once on a few volumes, each followed by the checker and all promises.

What a batch is made of is drawn; which of its calls comes first is left to the computer that it runs on.  So a failure
does not come back when it is tried again: the first one is kept, with its whole history, and nothing is shrunk.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.properties.holders import Holders
from tests.properties.invariants import breaches
from tests.properties.model import Held
from tests.properties.places import Place
from tests.properties.sight import Sight, look
from tests.properties.world import Asked, World

INSTANCES = ("1" * 8 + "-0000-4000-8000-" + "1" * 12, "2" * 8 + "-0000-4000-8000-" + "2" * 12)
CALLS_AT_MOST = 7


@dataclass(frozen=True)
class Draw:
    """A call as it is drawn: `which` picks an attachment of those that there are by then."""

    verb: str
    volume: int
    which: int = 0
    what: Mapping[str, Any] | None = None


def draws(places: list[Place]) -> st.SearchStrategy[list[Draw]]:
    """Batches."""
    at, which, volume = st.sampled_from(places), st.integers(0, 5), st.integers(0, 1)

    def calls(verb: str, **what: st.SearchStrategy[Any]) -> st.SearchStrategy[Draw]:
        return st.builds(Draw, st.just(verb), volume, which, st.fixed_dictionaries(what))

    instance = st.sampled_from([None, *INSTANCES])
    create = calls("create", instance=instance, mode=st.sampled_from([None, "rw", "ro"]), at=st.none() | at)
    delete = calls("delete", trusted=st.booleans())
    seldom = st.one_of(
        calls("delete-volume"),
        calls("extend", more=st.integers(0, 1)),
        calls("readonly", readonly=st.booleans()),
        calls("reset", to=st.sampled_from(["available", "error", "in-use"])),
    )
    reading = calls("show") | calls("list")
    often = [create, create, calls("update", at=at), calls("update", at=at), calls("complete"), delete, delete, reading]
    return st.lists(st.one_of(*often, seldom), min_size=2, max_size=CALLS_AT_MOST)


def machine(world: World, places: list[Place], keys: Path) -> Callable[[], RuleBasedStateMachine]:
    """The machine over `world`; each of its runs has two volumes of its own, one for one holder and one for several."""

    class Batches(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            assert world.failure is None
            self.volumes = [world.volume(shared=False), world.volume(shared=True)]
            self.holders = Holders(keys)
            self.last = look(world)

        @rule(drawn=draws(places))
        def at_once(self, drawn: list[Draw]) -> None:
            try:
                world.at_once([asked for one in drawn if (asked := self.resolve(one)) is not None])
                self.check()
            except Exception as failure:
                world.failure = world.failure or failure
                raise

        def check(self) -> None:
            told = world.explain(self.volumes)
            now = look(world)
            wrong = breaches(now, self.last) + self.holders.try_all(now)
            self.last = now
            assert not wrong, "\n".join([*wrong, *told])
            for n, id in enumerate(self.volumes):
                if world.now(id).gone:
                    self.volumes[n] = world.volume(shared=n == 1)

        def resolve(self, drawn: Draw) -> Asked | None:
            return resolved(world, self.volumes[drawn.volume], drawn)

        def teardown(self) -> None:
            if hasattr(self, "holders"):
                self.holders.close()
            if world.failure is None:
                clear(world, self.volumes)

    return Batches


def resolved(world: World, volume: str, drawn: Draw) -> Asked | None:
    """The call that was drawn, made of what there is; None where there is nothing for it."""
    state, what = world.now(volume), dict(drawn.what or {})
    at: Place | None = what.get("at")
    if "at" in what:
        what |= {"place": at.key if at else None, "connector_mode": at.mode if at else None}
    if drawn.verb in ("update", "complete", "delete"):
        if not state.held:
            return None
        what["id"] = chosen(state.held, drawn.which).id
    if drawn.verb == "extend":
        what = {"size_gib": state.size_gib + what["more"]}
    return Asked(volume, drawn.verb, what)


def chosen(held: tuple[Held, ...], which: int) -> Held:
    return held[which % len(held)]


def clear(world: World, volumes: list[str]) -> None:
    """Leave nothing of the volumes for whoever comes next."""
    for id in volumes:
        world.make(Asked(id, "reset", {"to": "available"}))
        world.make(Asked(id, "delete-volume", {}))
    world.rest()
    wrong = breaches(look(world), Sight())
    assert not wrong, "\n".join(wrong)
