"""
The state machine: batches of calls at once on a few volumes, each followed by the checker and all promises.

What a batch is made of is drawn; which of its calls comes first is left to the computer that it runs on.  So a failure
does not come back when it is tried again: the first one is kept, with its whole history, and nothing is shrunk.
"""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.properties.crowd import Crowd
from tests.properties.holders import Holders
from tests.properties.invariants import breaches
from tests.properties.places import DEVICE, FIRST, READER, SECOND, SOCKET, Place
from tests.properties.sight import Sight, look
from tests.properties.world import Asked, World


def machine(world: World, places: list[Place], keys: Path) -> Callable[[], RuleBasedStateMachine]:
    """The machine over `world`; each of its runs has two volumes of its own, one for one holder and one for several."""

    class Batches(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            assert world.failure is None
            self.volumes = [world.volume(shared=False), world.volume(shared=True)]
            self.holders = Holders(keys)
            self.last = look(world)

        @rule(random=st.randoms(use_true_random=True))
        def at_once(self, random: Random) -> None:
            try:
                world.at_once(Crowd(random, places).batch([(id, world.now(id)) for id in self.volumes]))
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

        def teardown(self) -> None:
            if hasattr(self, "holders"):
                self.holders.close()
            if world.failure is None:
                clear(world, self.volumes)

    return Batches


def explore(world: World, keys: Path, runs: int, batches: int, minutes: float = 0) -> Exception | None:
    """
    What is wrong, as the first of so many runs of the machine, of so many batches each, that found it says. They are
    made over and over for so many minutes, once at least.
    """
    until = time.monotonic() + minutes * 60
    _explore(world, keys, runs, batches)
    while world.failure is None and time.monotonic() < until:
        _explore(world, keys, runs, batches)
    return world.failure


def _explore(world: World, keys: Path, runs: int, batches: int) -> None:
    places = [SOCKET, FIRST, SECOND, READER, *([DEVICE] if os.geteuid() == 0 else [])]
    with contextlib.suppress(Exception):  # tried again it is another one, or none
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            machine(world, places, keys),
            settings=settings(
                max_examples=runs,
                stateful_step_count=batches,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )


def clear(world: World, volumes: list[str]) -> None:
    """Leave nothing of the volumes for whoever comes next."""
    for id in volumes:
        world.make(Asked(id, "reset", {"to": "available"}))
        world.make(Asked(id, "delete-volume", {}))
    world.rest()
    wrong = breaches(look(world), Sight())
    assert not wrong, "\n".join(wrong)
