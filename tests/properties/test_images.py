"""Whatever was seen of images has an order, by a state machine over two services; and planted faults are found."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import delete, insert

from moorage.api.image import data
from moorage.database import Database, Transaction
from moorage.drivers.stores.files import FilesStore
from moorage.images import changes, receiving, service
from moorage.images.access import visibility
from moorage.images.image import State
from moorage.images.records import properties
from tests.image_faults.twins import twins
from tests.properties.image_crowd import Crowd
from tests.properties.image_world import World

RUNS, BATCHES = (150, 25) if "MOORAGE_CHAOS" in os.environ else (6, 12)
RUNS = int(os.environ.get("MOORAGE_RUNS", RUNS))
PLANTED_RUNS = 30  #: within which a planted fault has to be found
RUN_PATIENCE_S = 60


def machine(world: World) -> Callable[[], RuleBasedStateMachine]:
    """The machine over `world`; each of its runs has three images of its own."""

    class Batches(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            assert world.failure is None
            self.images = [world.image() for _ in range(3)]

        @rule(random=st.randoms(use_true_random=True))
        def at_once(self, random: Random) -> None:
            try:
                world.at_once(Crowd(random).batch([(id, world.now(id)) for id in self.images]))
                world.explain(self.images)
            except Exception as failure:
                world.failure = world.failure or failure
                raise
            self.images = [world.image() if world.now(id).gone else id for id in self.images]

    return Batches


def run(world: World, runs: int, batches: int) -> None:
    """Run the machine until something is wrong, which is kept: tried again it is another thing, or none."""
    with contextlib.suppress(Exception):
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            machine(world),
            settings=settings(
                max_examples=runs,
                stateful_step_count=batches,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )


@pytest.fixture
def world(database: Database, state_dir: Path) -> Iterator[World]:
    with twins(database, state_dir) as made:
        yield World(made)


@pytest.mark.timeout(300 + RUNS * RUN_PATIENCE_S)
def test_everything_that_was_seen_of_images_has_an_order(world: World) -> None:
    run(world, RUNS, BATCHES)
    if world.failure is not None:
        raise world.failure


def uploads_do_not_exclude_one_another(plant: pytest.MonkeyPatch) -> None:
    """A second upload begins while the first one is on its way, and each ends as if it were alone."""

    def move(tx: Transaction, image: Mapping[str, Any], event: str, **values: Any) -> None:
        known = {**image, "state": State.QUEUED} if image["state"] == State.SAVING and event == "receive" else image
        service.move(tx, known, event, **values)

    plant.setattr(receiving, "move", move)


def a_deletion_leaves_bytes(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(FilesStore, "delete", lambda store, name: None)


def changes_undo_one_another(plant: pytest.MonkeyPatch) -> None:
    """A change writes all properties as they were when it began to read."""
    read: dict[str, Mapping[str, str | None]] = {}
    gather = service.gather

    def late(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> list[service.Image]:
        (image,) = gather(tx, rows)
        before, read[rows[0]["id"]] = read.get(rows[0]["id"], image.properties), image.properties
        return [service.Image(image.row, before, image.tags, image.stores)]

    def write(tx: Transaction, id: str, before: Mapping[str, str | None], after: Mapping[str, str | None]) -> None:
        tx.run(delete(properties).where(properties.c.image_id == id))
        if after:
            tx.run(
                insert(properties), [{"image_id": id, "name": name, "value": value} for name, value in after.items()]
            )

    plant.setattr(changes, "gather", late)
    plant.setattr(changes, "_write_properties", write)


def a_deactivated_image_can_be_read(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(data, "State", type("State", (), {"DEACTIVATED": "never"}))


def members_see_a_private_image(plant: pytest.MonkeyPatch) -> None:
    def sees(tx: Transaction, caller: Any, image: Mapping[str, Any]) -> bool:
        return caller.sees(image["owner"]) or visibility.membership(tx, image["id"], caller.project_id) is not None

    plant.setattr(visibility, "sees", sees)


PLANTED = (
    uploads_do_not_exclude_one_another,
    a_deletion_leaves_bytes,
    changes_undo_one_another,
    a_deactivated_image_can_be_read,
    members_see_a_private_image,
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.__name__)
def test_the_machine_finds_a_planted_fault(world: World, fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    run(world, PLANTED_RUNS, 25)
    assert world.failure is not None
