"""The ten promises about attachments, by a state machine over the whole service and its real daemons."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud import running
from tests.properties.machine import explore
from tests.properties.world import World

#: Runs of the machine, and batches in each of them.
RUNS, BATCHES = (100, 20) if "MOORAGE_CHAOS" in os.environ else (6, 8)
RUNS = int(os.environ.get("MOORAGE_RUNS", RUNS))
MINUTES = float(os.environ.get("MOORAGE_MINUTES", "0"))  #: the runs are repeated for so long
RUN_PATIENCE_S = 60


@pytest.fixture
def world(database_url: str, state_dir: Path) -> Iterator[World]:
    with running(state_dir, database_url) as cloud:
        yield World(cloud)


@pytest.mark.timeout(300 + RUNS * RUN_PATIENCE_S + 2 * MINUTES * 60)
def test_everything_that_was_seen_has_an_order_and_all_promises_hold(world: World, tmp_path: Path) -> None:
    failure = explore(world, tmp_path, RUNS, BATCHES, MINUTES)
    if failure is not None:
        raise failure
