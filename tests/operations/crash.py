"""
Flows killed and stopped at every place, in a real process: for the tests of any flow.

A test names a *factory*, `"package.module:function"`, called as `function(url, state_dir)` in this process and in
others; the `Scene` that it returns knows how to begin the operation and what must be true of the world once it is over:

    FACTORY = "tests.flows.scenes:volume_from_image"

@pytest.mark.parametrize("point", crash.points(FLOW), ids=str) def test_it_converges_whenever_it_is_killed(database_url,
state_dir, point): crash.converges(FACTORY, database_url, state_dir, point)

A `Point` is a place in the run of one step, forwards or (after the last step was made to fail) backwards: before it, at
the n-th line executed within it (of the code of domains, flows and drivers), when it is done and not yet written down,
in the transaction that writes the end down, and after that.
"""

import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError

from moorage.core.errors import Problem
from moorage.core.pids import stopped
from moorage.database import Database
from moorage.database.errors import DatabaseUnavailable
from moorage.operations import journal
from moorage.operations.flow import Flow, Flows, Step
from moorage.operations.process import Process
from moorage.operations.records import OVER, operations
from moorage.operations.runner import Runner

PATIENCE_S = 60.0
UNSEEN = ("/moorage/database/", "/moorage/operations/", "/moorage/core/")  # not counted as lines of a step

CHAOS = pytest.mark.skipif("MOORAGE_CHAOS" not in os.environ, reason="every crash point on PostgreSQL: make chaos")
#: for `database_url`: SQLite in `make test`, PostgreSQL too in `make chaos`
ON_ENGINES = pytest.mark.parametrize("database_url", ["sqlite", pytest.param("postgresql", marks=CHAOS)], indirect=True)

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.operations.crash", "tests.flows.volume_scenes", "tests.flows.image_world"])


class Broken(Problem):
    """This step was made to fail."""

    status, code = 400, "test.broken"


@dataclass
class Scene:
    """One operation and its world, as one process sees them."""

    database: Database
    flows: Flows
    rooms: Any
    begin: Callable[[], str]  #: begins the operation; its id
    check: Callable[[Mapping[str, Any]], None]  #: asserts that the world fits the operation's row, once it is over
    queues: Collection[str] = ("any",)
    lease_s: float = 10.0
    start: Callable[[Runner], None] = lambda runner: None  #: called with the started runner, in every process


@dataclass(frozen=True)
class Point:
    """A place in the run of a flow."""

    step: str
    place: str  #: before, line, done; for the flow as a whole: settle, ended
    line: int = 0
    back: bool = False
    deadly: int = signal.SIGKILL
    inside: str = ""  #: the function whose lines are counted, where not all are
    fail: str = ""  #: the step that fails when it is done, where it goes back; the last one where none is named

    def __str__(self) -> str:
        way = f"{self.fail}-fails-undo" if self.fail else "undo" if self.back else "do"
        return f"{way}-{self.step}-{self.inside or self.place}{self.line or ''}"


def points(flow: Flow, lines: Collection[int] = (1, 4)) -> list[Point]:
    """Every place at which `flow` is killed: before, inside and after every step and every undo, and at the end."""
    found = []
    for back in (False, True):
        for step in flow.steps:
            if not back or step.undo is not None:
                found += [Point(step.name, "before", back=back), Point(step.name, "done", back=back)]
                found += [Point(step.name, "line", line, back=back) for line in lines]
        found += [Point("", place, back=back) for place in ("settle", "ended")]
    return found


def build(factory: str, url: str, state: Path) -> Scene:
    """The scene that the factory makes, in this process."""
    module, _, name = factory.partition(":")
    scene: Scene = getattr(importlib.import_module(module), name)(url, state)
    return scene


def converges(factory: str, url: str, state: Path, point: Point) -> Mapping[str, Any]:
    """Kill the operation at `point` in a process of its own, recover it in this one, check the world; the row."""
    scene = build(factory, url, state)
    id = scene.begin()
    died = run_and_die(factory, url, state, id, point)
    assert died in (0, -signal.SIGKILL), f"the process ended with {died}"
    row = recover(scene, id)
    scene.check(row)
    scene.database.close()
    return row


def run_and_die(factory: str, url: str, state: Path, id: str, point: Point | None) -> int | None:
    """Carry operation `id` out in another process until it dies at `point` or the operation is over; its exit code."""
    process = started(factory, url, state, id, point)
    process.join(PATIENCE_S)
    if process.exitcode is None:
        process.kill()
    return process.exitcode


def started(factory: str, url: str, state: Path, id: str, point: Point | None) -> Any:
    """That process, just started."""
    process = _context.Process(target=_child, args=(factory, url, state, id, point), daemon=True)
    process.start()
    return process


def recover(scene: Scene, id: str, patience_s: float = PATIENCE_S) -> Mapping[str, Any]:
    """
    Carry operation `id` on in this process, as a release that starts after the crash does; its row once it is over.
    """
    runner = Runner(scene.database, scene.flows, scene.rooms, Process.this("up"), scene.queues, lease_s=scene.lease_s)
    runner.start()
    try:
        scene.start(runner)
        return over(scene.database, id, patience_s)
    finally:
        runner.stop()


def over(database: Database, id: str, patience_s: float = PATIENCE_S) -> Mapping[str, Any]:
    """The operation's row once it is over."""
    until = time.monotonic() + patience_s
    while True:
        row: Mapping[str, Any] = {"state": "unknown"}
        with contextlib.suppress(DBAPIError, DatabaseUnavailable):  # PostgreSQL ends what is stopped for long
            row = _row(database, id)
        if row["state"] in OVER:
            return row
        assert time.monotonic() < until, f"operation {id} got stuck: {dict(row)}"
        time.sleep(0.005)


def _row(database: Database, id: str) -> Mapping[str, Any]:
    with database.read() as tx:
        row = journal.get(tx, id)
    assert row is not None
    return row


def wait_stopped(pid: int) -> None:
    """Wait until process `pid` is stopped."""
    until = time.monotonic() + PATIENCE_S
    while not stopped(pid):
        assert time.monotonic() < until and Path(f"/proc/{pid}").exists(), "it did not come to the place"
        time.sleep(0.005)


def lapse(database: Database) -> None:
    """Let the leases of operations be over, as they are some seconds after their owner was stopped."""
    with database.write() as tx:
        tx.run(update(operations).where(operations.c.lease_until.is_not(None)).values(lease_until=0))


def _child(factory: str, url: str, state: Path, id: str, point: Point | None) -> None:
    scene = build(factory, url, state)
    _this_process.append(scene.database)
    with scene.database.read() as tx:
        row = journal.get(tx, id)
    assert row is not None
    if point is not None:
        last = scene.flows[row["kind"]].steps[-1].name
        scene.flows = dying(scene.flows, row["kind"], point, fail=(point.fail or last) if point.back else None)
        if point.place == "ended":
            scene.database.listen(journal.ENDED, lambda ended: _die(point))
    recover(scene, id)
    os._exit(0)


def dying(flows: Flows, kind: str, point: Point, fail: str | None = None) -> Flows:
    """The same flows, but that the process dies when `kind` comes to `point`; step `fail` fails when it is done."""
    flow = flows[kind]
    steps = tuple(_dying_step(step, point, step.name == fail) for step in flow.steps)
    settle = flow.settle

    def dying_settle(tx: Any, row: Mapping[str, Any]) -> None:
        if settle is not None:
            settle(tx, row)
        if point.place == "settle" and row["back"] == point.back:
            _die(point)

    return Flows({**flows.kinds, kind: replace(flow, steps=steps, settle=dying_settle)})


def failing(flows: Flows, kind: str, fail: str, *, before: bool = False) -> Flows:
    """The same flows, but that step `fail` of `kind` fails, when it is done or `before` it does anything."""
    flow = flows[kind]
    steps = tuple(_failing(step, before) if step.name == fail else step for step in flow.steps)
    return Flows({**flows.kinds, kind: replace(flow, steps=steps)})


def twice(flows: Flows, kind: str) -> Flows:
    """The same flows, but that `kind` does everything twice, and undoes everything twice."""

    def doubled(step: Step) -> Step:
        def do(work: Any) -> Any:
            step.do(work)
            return step.do(work)

        def undo(work: Any) -> None:
            if step.undo is not None:
                step.undo(work)
                step.undo(work)

        return replace(step, do=do, undo=undo)

    flow = flows[kind]
    return Flows({**flows.kinds, kind: replace(flow, steps=tuple(doubled(step) for step in flow.steps))})


def _failing(step: Step, before: bool) -> Step:
    def do(work: Any) -> Any:
        if not before:
            step.do(work)
        raise Broken()

    return replace(step, do=do)


def _dying_step(step: Step, point: Point, fails: bool) -> Step:
    def do(work: Any) -> Any:
        result = _run(step.do, work, point) if hit(point, step, back=False) else step.do(work)
        if fails:
            raise Broken()
        return result

    def undo(work: Any) -> None:
        if step.undo is not None:
            _run(step.undo, work, point) if hit(point, step, back=True) else step.undo(work)

    return replace(step, do=do, undo=undo if step.undo is not None else None)


def hit(point: Point, step: Step, *, back: bool) -> bool:
    """Whether `point` lies in this way of running `step`."""
    return point.step == step.name and point.back is back


def _run(work: Callable[[Any], Any], seen: Any, point: Point) -> Any:
    if point.place == "before":
        _die(point)
    with_lines = _Lines(point) if point.place == "line" else None
    sys.settrace(with_lines)
    try:
        result = work(seen)
    finally:
        sys.settrace(None)
    if point.place == "done":
        _die(point)
    return result


class _Lines:
    """A tracer that dies at the n-th line."""

    def __init__(self, point: Point) -> None:
        self._point, self._left = point, point.line

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        ours = ("/moorage/" in name or "/tests/" in name) and not any(part in name for part in UNSEEN)
        if not ours or name == __file__:
            return None
        if event == "line" and self._point.inside in ("", frame.f_code.co_name):
            self._left -= 1
            if self._left == 0:
                _die(self._point)
        return self


_this_process: list[Database] = []  # of a child: the database that it works on


def _die(point: Point) -> None:
    """
    Stop or end here: the signal goes to this thread, which would go on until another one has taken a signal to the
    process. One that is only stopped does so while none of its other threads holds SQLite's write lock.
    """
    database = _this_process[0] if _this_process else None
    quiet = getattr(database and database._side, "_queue", None) if point.deadly == signal.SIGSTOP else None
    if quiet is None or (database is not None and getattr(database._here, "writing", False)):
        signal.pthread_kill(threading.get_ident(), point.deadly)
    else:
        with quiet:
            signal.pthread_kill(threading.get_ident(), point.deadly)


def steps_of(flow: Flow) -> list[str]:
    """The names of its steps."""
    return [step.name for step in flow.steps]
