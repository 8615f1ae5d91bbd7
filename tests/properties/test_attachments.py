"""The ten promises about attachments, by a state machine over the whole service and its real daemons."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.cloud import running
from tests.properties.machine import machine
from tests.properties.places import DEVICE, FIRST, READER, SECOND, SOCKET
from tests.properties.world import World

#: Runs of the machine, and batches in each of them.
RUNS, BATCHES = (100, 20) if "MOORAGE_CHAOS" in os.environ else (6, 8)
RUNS = int(os.environ.get("MOORAGE_RUNS", RUNS))
RUN_PATIENCE_S = 60


@pytest.fixture
def world(database_url: str, state_dir: Path) -> Iterator[World]:
    with running(state_dir, database_url) as cloud:
        yield World(cloud)


@pytest.mark.timeout(300 + RUNS * RUN_PATIENCE_S)
def test_everything_that_was_seen_has_an_order_and_all_promises_hold(world: World, tmp_path: Path) -> None:
    places = [SOCKET, FIRST, SECOND, READER, *([DEVICE] if os.geteuid() == 0 else [])]
    with contextlib.suppress(Exception):  # tried again it is another one, or none
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            machine(world, places, tmp_path),
            settings=settings(
                max_examples=RUNS,
                stateful_step_count=BATCHES,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
    if world.failure is not None:
        raise world.failure
