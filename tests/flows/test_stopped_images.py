"""
Whoever is stopped in the middle of a side effect on images, is succeeded, and goes on later does no harm: every row and
every byte stays what the successor has made of it.
"""

import contextlib
import hashlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from sqlalchemy import select

from moorage.database import Database
from moorage.database.schema import metadata
from moorage.flows.images.incoming.upload import Asked, Upload
from moorage.operations.process import Process
from moorage.operations.runner import Runner
from tests.flows.conversion_scenes import middle
from tests.flows.image_world import ALICE, DATA, FLOWS, PIECES, new_image, rooms_on, world
from tests.flows.test_upload_image import wait_for
from tests.operations import crash
from tests.operations.crash import Point

SCENES = "tests.flows.stopped_scenes"
PASSING = {"processes", "jobs", "hearing"}  #: tables that say who is alive, and what is due

ANYWHERE = [
    ("importing", Point("store", "line", 40)),
    ("importing", Point("store", "line", 90)),
    ("importing", Point("store", "done")),
    ("fetching", Point("obtain", "line", 22)),
    ("fetching", Point("obtain", "done")),
    ("converting", middle("transform")),
    ("converting", Point("transform", "done")),
    ("copying", Point("copy", "line", 45)),
    ("copying", Point("copy", "done")),
    ("leaving", Point("remove", "line", 3)),
    ("deleting", Point("remove", "line", 4)),
    ("hashing", Point("hash", "line", 60)),
    ("comparing", Point("compare", "line", 60)),
]
HERE = [
    ("hydrating", Point("fill", "line", 60)),
    ("awaiting", Point("fill", "line", 120)),
    ("showing", Point("show", "line", 9)),
    ("converting_for_a_volume", middle("convert")),
    ("copying_a_volume", Point("copy", "line", 20)),
    ("cloning", Point("head", "line", 9)),
]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.flows.image_world"])


def everything(database: Database, state: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """All rows but those that tell of processes, and all bytes."""
    with database.read() as tx:
        rows = {table.name: tx.all(select(table)) for table in metadata.sorted_tables if table.name not in PASSING}
    files = {path: path.read_bytes() for path in state.rglob("*") if path.is_file() and "moorage.db" not in path.name}
    return rows, {str(path): hashlib.sha256(content).hexdigest() for path, content in files.items()}


def wake(owner: Any) -> None:
    """Let a stopped process go on, and wait for its end."""
    with contextlib.suppress(ProcessLookupError):  # killed: it had the database's lock when it was stopped
        os.kill(owner.pid, signal.SIGCONT)
    owner.join(crash.PATIENCE_S)
    assert owner.exitcode in (0, -signal.SIGKILL)


@pytest.mark.parametrize(("scene", "point"), ANYWHERE, ids=str)
def test_an_owner_stopped_in_the_middle_and_woken_after_takeover_changes_nothing(
    database_url: str, state_dir: Path, scene: str, point: Point
) -> None:
    factory = f"{SCENES}:{scene}"
    built = crash.build(factory, database_url, state_dir)
    id = built.begin()
    owner = crash.started(factory, database_url, state_dir, id, replace(point, deadly=signal.SIGSTOP))
    crash.wait_stopped(owner.pid)
    crash.lapse(built.database)
    row = crash.recover(built, id)
    assert (row["state"], row["epoch"] > 1) == ("done", True)
    built.check(row)
    before = everything(built.database, state_dir)
    wake(owner)
    assert everything(built.database, state_dir) == before
    built.check(row)
    built.database.close()


@pytest.mark.parametrize(("scene", "point"), HERE, ids=str)
def test_an_owner_stopped_inside_what_only_the_host_does_is_killed_by_its_successor(
    database_url: str, state_dir: Path, scene: str, point: Point
) -> None:
    factory = f"{SCENES}:{scene}"
    built = crash.build(factory, database_url, state_dir)
    id = built.begin()
    owner = crash.started(factory, database_url, state_dir, id, replace(point, deadly=signal.SIGSTOP))
    crash.wait_stopped(owner.pid)
    crash.lapse(built.database)
    row = crash.recover(built, id)
    owner.join(10)
    assert owner.exitcode == -signal.SIGKILL
    assert (row["state"], row["epoch"] > 1) == ("done", True)
    built.check(row)
    built.database.close()


class Stopping:
    """A tracer that stops the process when it comes to a function of the store of files for the n-th time."""

    def __init__(self, name: str, count: int) -> None:
        self._name, self._left = name, count

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if code.co_name == self._name and "/moorage/" in code.co_filename and "/database/" not in code.co_filename:
            self._left -= 1
            if self._left == 0:
                crash._die(Point("", "", deadly=signal.SIGSTOP))


def upload_and_stop(url: str, state: Path, id: str, name: str, count: int) -> None:
    """What a process does that receives an upload and is stopped in the middle of it."""
    database = Database(url)
    crash._this_process.append(database)
    rooms = rooms_on(database, state)
    rooms.runner.start()
    late = Upload(rooms, ALICE, id, Asked(size=len(DATA)))
    late.begin()
    sys.settrace(Stopping(name, count))
    try:
        for piece in PIECES:
            late.take([piece])
            late.check()
        late.close()
        late.record()
    except Exception as problem:  # as the API does
        late.clear()
        late.give_up(problem)
        late.sweep()
    rooms.runner.stop()
    os._exit(0)


@pytest.fixture
def successor(database: Database, state_dir: Path) -> Iterator[Any]:
    """The rooms of another process, which carries out what the first one does not go on with."""
    rooms = rooms_on(database, state_dir)
    rooms.runner = Runner(database, FLOWS, rooms, Process.this("up"), {"any"})
    rooms.process = rooms.runner.me.id
    rooms.runner.start()
    yield rooms
    rooms.runner.stop()


PLACES = [("write", 2), ("write", 5), ("commit", 1), ("_sync_folders", 1), ("finish", 1), ("record", 1)]


@pytest.mark.parametrize("again", [True, False], ids=["uploaded-again", "left-alone"])
@pytest.mark.parametrize(("name", "count"), PLACES, ids=str)
def test_an_upload_that_is_stopped_and_woken_after_takeover_changes_nothing(
    database: Database, state_dir: Path, successor: Any, name: str, count: int, again: bool
) -> None:
    url, id = database.engine.url.render_as_string(hide_password=False), new_image(database)
    process = _context.Process(target=upload_and_stop, args=(url, state_dir, id, name, count), daemon=True)
    process.start()
    crash.wait_stopped(process.pid or 0)
    crash.lapse(database)
    wait_for(database, state_dir, id)
    assert world(database, state_dir, id).row["state"] == "queued"
    other = b"other bytes" * 1000
    if again:
        upload = Upload(successor, ALICE, id, Asked())
        upload.begin()
        upload.take([other])
        upload.close()
        upload.record()
    before = everything(database, state_dir)
    wake(process)
    after = everything(database, state_dir)
    assert after == before
    it = world(database, state_dir, id)
    assert (it.row["state"], len(it.objects)) == (("active", 1) if again else ("queued", 0))
    if again:
        assert b"".join(successor.stores["files"].open(*it.objects)) == other
