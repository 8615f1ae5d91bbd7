"""An operation that this process can carry out belongs to it from its first moment on, and to nobody twice."""

import threading
from typing import Any

import pytest
from sqlalchemy import select

from moorage.core.errors import Conflict
from moorage.database import Database, Transaction
from moorage.operations import claims, journal
from moorage.operations.flow import Flow, Step, Work
from moorage.operations.records import State, operations
from tests.operations.conftest import Start
from tests.operations.crash import over
from tests.operations.test_runner import begin, nothing, row_of
from tests.patience import until


def states(database: Database) -> dict[str, str]:
    with database.read() as tx:
        return {row["id"]: row["state"] for row in tx.all(select(operations))}


def test_it_runs_from_its_first_moment_without_a_claim(
    database: Database, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = start(Flow("f", (Step("s", nothing),)))
    monkeypatch.setattr(claims, "claim", lambda *of: pytest.fail("it was claimed"))
    row = over(database, begin(database, "f"))
    assert (row["state"], row["epoch"], row["error"]) == (State.DONE, 1, None)
    until(lambda: not runner._running)


def test_a_second_one_on_the_resource_waits_its_turn(database: Database, start: Start) -> None:
    go, order = threading.Event(), []

    def step(work: Work) -> None:
        order.append(work.id)
        assert go.wait(30)

    start(Flow("f", (Step("s", step),)))
    first, second, other = begin(database, "f"), begin(database, "f"), begin(database, "f", "r2")
    until(lambda: set(order) == {first, other})
    assert states(database) == {first: State.RUNNING, second: State.QUEUED, other: State.RUNNING}
    go.set()
    assert over(database, second)["state"] == State.DONE and order[-1] == second


def test_none_is_taken_from_another_queue_or_beyond_what_there_is_room_for(database: Database, start: Start) -> None:
    go = threading.Event()

    def step(work: Work) -> None:
        assert go.wait(30)

    start(Flow("f", (Step("s", step),)), threads=1)
    first = begin(database, "f")
    full, elsewhere = begin(database, "f", "r2"), begin(database, "f", "r3", queue="host:other")
    assert states(database) == {first: State.RUNNING, full: State.QUEUED, elsewhere: State.QUEUED}
    go.set()
    assert over(database, full)["state"] == State.DONE and states(database)[elsewhere] == State.QUEUED


def test_what_was_not_committed_never_begins(database: Database, start: Start) -> None:
    done: list[str] = []
    start(Flow("f", (Step("s", lambda work: done.append(work.id)),)))
    with pytest.raises(Conflict), database.write() as tx:
        journal.begin(tx, "f", "thing", "r1", queue="any", project_id="p")
        raise Conflict(reason="no")
    over(database, begin(database, "f"))
    assert len(done) == 1 and list(states(database)) == done


def test_one_whose_owner_never_began_is_taken_over(
    database: Database, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the commit and the first line of the first step: what any claim has behind it, too."""
    first = start(Flow("f", (Step("s", nothing),)), lease_s=0.3)
    monkeypatch.setattr(first, "take_up", lambda row: None)
    id = begin(database, "f")
    assert row_of(database, id)["owner"] == first.me.id
    monkeypatch.undo()
    assert (over(database, id)["state"], row_of(database, id)["epoch"]) == (State.DONE, 2)


def test_what_cannot_be_recorded_is_turned_back(database: Database, start: Start) -> None:
    undone: list[Any] = []

    def record(tx: Transaction, operation: Any) -> None:
        if operation["results"]["s"]["n"] == 1:
            raise Conflict(reason="Overtaken.")

    flow = Flow("f", (Step("s", lambda work: {"n": work.input["n"]}, lambda work: undone.append(work.results)),))
    start(Flow(flow.kind, flow.steps, None, record))
    row = over(database, begin(database, "f", input={"n": 1}))
    assert (row["state"], row["error"], undone) == (State.UNDONE, "Overtaken.", [{"s": {"n": 1}}])
    assert over(database, begin(database, "f", "r2", input={"n": 2}))["state"] == State.DONE
