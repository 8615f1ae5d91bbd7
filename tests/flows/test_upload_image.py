"""Uploads whose process is killed: whatever the line, the image has all of its bytes or none."""

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from moorage.database import Database
from moorage.flows.images.incoming.upload import Asked, Upload
from moorage.images import allowance
from moorage.operations.journal import Fenced
from moorage.operations.process import Process
from moorage.operations.records import operations
from moorage.operations.runner import Runner
from tests.flows.image_world import (
    ALICE,
    DATA,
    FLOWS,
    assert_active_or_untouched,
    lines_of_an_upload,
    new_image,
    rooms_on,
    upload,
    upload_and_die,
    world,
)
from tests.operations.crash import PATIENCE_S
from tests.patience import until

PLACES = 60 if "MOORAGE_CHAOS" in os.environ else 6
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.flows.image_world"])


@pytest.fixture
def recovering(database: Database, state_dir: Path) -> Any:
    """A runner of the release that comes after the crash, started when it is wanted."""
    rooms = rooms_on(database, state_dir)
    runner = Runner(database, FLOWS, rooms, Process.this("up"), {"any"})
    yield runner
    runner.stop()


def die(url: str, state: Path, id: str, line: int) -> None:
    process = _context.Process(target=upload_and_die, args=(url, state, id, line), daemon=True)
    process.start()
    process.join(PATIENCE_S)
    assert process.exitcode in (0, -signal.SIGKILL)  # 0: this run had fewer lines than the one that was counted


def wait_for(database: Database, state: Path, id: str) -> None:
    until(lambda: not world(database, state, id).open, PATIENCE_S, "an operation got stuck")


@pytest.mark.timeout(1800)  # a process for each place
def test_killed_anywhere_it_leaves_all_or_nothing(database: Database, state_dir: Path, recovering: Any) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    with database.write() as tx:
        allowance.set_limits(tx, "project-a", {"image_size_total": 1000})  # so that each upload reserves its room
    total = lines_of_an_upload(database, state_dir)
    places = sorted({*range(1, total, max(1, total // PLACES)), *range(total - 40, total + 1, 10)})
    ids = [new_image(database) for _ in places]
    for id, line in zip(ids, places, strict=True):
        die(url, state_dir, id, line)
    recovering.start()
    found = set()
    for id in ids:
        wait_for(database, state_dir, id)
        found.add(assert_active_or_untouched(database, state_dir, id))
    assert found == {"queued", "active"}
    whole = 1 + sum(world(database, state_dir, id).row["state"] == "active" for id in ids)  # one by the counting
    with database.read() as tx:
        used = allowance.usage(tx, "project-a")
    assert (used["image_size_total"], used["image_count_uploading"]) == (whole * len(DATA), 0)
    again = next(id for id in ids if world(database, state_dir, id).row["state"] == "queued")
    rooms = rooms_on(database, state_dir)
    rooms.runner = recovering
    upload(rooms, again)
    assert assert_active_or_untouched(database, state_dir, again) == "active"


def test_an_upload_that_was_taken_over_stores_nothing(database: Database, state_dir: Path) -> None:
    rooms, id = rooms_on(database, state_dir), new_image(database)
    late = Upload(rooms, ALICE, id, Asked())
    late.begin()
    with database.write() as tx:
        tx.run(operations.update().values(epoch=2))
    late.take([DATA])
    late.close()
    with pytest.raises(Fenced) as problem:
        late.record()
    late.clear()
    late.give_up(problem.value)
    late.sweep()
    assert world(database, state_dir, id).objects == set()
    assert world(database, state_dir, id).locations == []
