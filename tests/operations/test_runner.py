"""What the runner promises: nothing is dropped, nothing is done by two, nothing waits on a thread."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import update

from moorage.core.errors import Problem, Unavailable
from moorage.database import Database
from moorage.operations import claims, journal, process, work
from moorage.operations.flow import After, Flow, Step, Work
from moorage.operations.journal import SECOND
from moorage.operations.records import State, operations, processes
from moorage.operations.work import LONGEST_PAUSE_S, pause_s
from tests.operations.conftest import Start
from tests.operations.crash import over
from tests.operations.leases import LEASE_S, renewed
from tests.patience import until


class Wrong(Problem):
    """It is wrong."""

    status, code = 400, "test.wrong"


def begin(database: Database, kind: str, resource: str = "r1", **more: Any) -> str:
    with database.write() as tx:
        return journal.begin(tx, kind, "thing", resource, queue=more.pop("queue", "any"), project_id="p", **more)


def row_of(database: Database, id: str) -> Any:
    with database.read() as tx:
        return journal.get(tx, id)


def nothing(work: Work) -> None:
    """Do nothing."""


def fails(problem: Exception, times: int = 10**9) -> Any:
    """A step that fails so many times."""
    left = iter(range(times))

    def do(work: Work) -> None:
        if next(left, None) is not None:
            raise problem

    return do


def test_results_reach_the_steps_after_and_the_journal(database: Database, start: Start) -> None:
    seen = []
    start(Flow("f", (Step("a", lambda work: {"n": 1}), Step("b", lambda work: seen.append(dict(work.results))))))
    row = over(database, begin(database, "f"))
    assert row["state"] == State.DONE and seen == [{"a": {"n": 1}}] and row["results"] == {"a": {"n": 1}, "b": {}}


def test_an_answer_that_does_not_come_is_waited_for_and_forgotten(database: Database, start: Start) -> None:
    start(Flow("f", (Step("a", fails(Unavailable(reason="not now"), times=2)),), retries=3))
    row = over(database, begin(database, "f"))
    assert (row["state"], row["error"], row["hindrance"]) == (State.DONE, None, None)


def test_when_the_tries_are_used_up_it_turns_back(database: Database, start: Start) -> None:
    start(Flow("f", (Step("a", fails(Unavailable(reason="not now"))),), retries=1))
    row = over(database, begin(database, "f"))
    assert (row["state"], row["error"], row["error_status"]) == (State.UNDONE, "not now", 503)


def test_an_undo_is_tried_until_it_works(database: Database, start: Start) -> None:
    undo = fails(RuntimeError("secret"), times=2)
    start(Flow("f", (Step("a", fails(Wrong()), undo),)))
    id = begin(database, "f")
    until(lambda: row_of(database, id)["hindrance"])
    assert row_of(database, id)["hindrance"] == "An unexpected problem occurred."
    row = over(database, id)
    assert (row["state"], row["error_code"], row["hindrance"]) == (State.UNDONE, "test.wrong", None)


def test_what_may_only_go_forward_does(database: Database, start: Start) -> None:
    undone: list[str] = []
    flow = Flow(
        "f",
        (
            Step("a", nothing, lambda work: undone.append("a")),
            Step("b", fails(Wrong(), times=2), lambda work: undone.append("b"), forward_only=True),
            Step("c", fails(Wrong(), times=1)),
        ),
    )
    start(flow)
    row = over(database, begin(database, "f"))
    assert row["state"] == State.DONE and undone == []


def test_pauses_grow_up_to_a_minute() -> None:
    assert [pause_s(n) for n in range(3)] == [0.2, 0.4, 0.8]
    assert pause_s(10**6) == LONGEST_PAUSE_S


def test_a_kind_that_nobody_knows_goes_back_to_its_queue(database: Database, start: Start) -> None:
    start()
    id = begin(database, "from-the-future")
    until(lambda: row_of(database, id)["attempts"] >= 2)
    row = row_of(database, id)
    assert row["state"] in (State.QUEUED, State.RUNNING) and "from-the-future" in row["hindrance"]


def test_a_settlement_that_fails_is_tried_again(database: Database, start: Start) -> None:
    settle = fails(RuntimeError(), times=2)
    start(Flow("f", (Step("a", nothing),), lambda tx, row: settle(row)))
    assert over(database, begin(database, "f"))["state"] == State.DONE


def test_a_result_that_is_not_json_is_the_steps_failure(database: Database, start: Start) -> None:
    start(Flow("f", (Step("a", lambda work: {"a": object()}),)))
    assert over(database, begin(database, "f"))["state"] == State.UNDONE


def test_a_cancelled_operation_turns_back_before_its_next_step(database: Database, start: Start) -> None:
    inside, go, undone = threading.Event(), threading.Event(), []

    def first(work: Work) -> None:
        inside.set()
        go.wait(60)

    start(Flow("f", (Step("a", first, lambda work: undone.append("a")), Step("b", nothing))))
    id = begin(database, "f")
    inside.wait(60)
    with database.write() as tx:
        journal.cancel(tx, id)
    go.set()
    row = over(database, id)
    assert (row["state"], row["error_code"], undone) == (State.UNDONE, "operation.cancelled", ["a"])


def test_a_long_step_hears_that_it_is_cancelled(database: Database, start: Start) -> None:
    inside = threading.Event()

    def long(work: Work) -> None:
        inside.set()
        until(lambda: work.check() and False)

    start(Flow("f", (Step("a", long),)))
    id = begin(database, "f")
    inside.wait(60)
    with database.write() as tx:
        journal.cancel(tx, id)
    assert over(database, id)["error_code"] == "operation.cancelled"


def test_cancelling_does_not_wait_for_a_pause_or_for_another_operation(database: Database, start: Start) -> None:
    other = begin(database, "f", "r2", queue="nobody's")
    start(
        Flow("parks", (Step("a", lambda work: After(other)),)),
        Flow("pauses", (Step("a", fails(Unavailable(reason="not now"))),), retries=10**6),
    )
    for kind, resource in (("parks", "r3"), ("pauses", "r4")):
        id = begin(database, kind, resource)
        until(lambda id=id: row_of(database, id)["state"] == State.PARKED or row_of(database, id)["attempts"] >= 3)
        with database.write() as tx:
            journal.cancel(tx, id)
        assert over(database, id)["state"] == State.UNDONE


@pytest.mark.parametrize("wait", ["parks", "pauses"])
def test_who_cancels_just_before_it_waits_is_heard(
    database: Database, start: Start, monkeypatch: pytest.MonkeyPatch, wait: str
) -> None:
    """When the step has looked for the last time, and the journal does not say yet that it waits."""
    monkeypatch.setattr(work, "pause_s", lambda attempts: 3600.0)
    other = begin(database, "f", "r2", queue="nobody's")

    def step(carried: Work) -> After:
        with database.write() as tx:
            journal.cancel(tx, carried.id)
        if wait == "parks":
            return After(other)
        raise Unavailable(reason="not now")

    start(Flow(wait, (Step("a", step),)))
    row = over(database, begin(database, wait, "r3"))
    assert (row["state"], row["error_code"]) == (State.UNDONE, "operation.cancelled")


def test_one_that_is_overdue_turns_back(database: Database, start: Start) -> None:
    id = begin(database, "f", deadline_s=-1)
    start(Flow("f", (Step("a", nothing),)))
    assert over(database, id)["error_code"] == "operation.overdue"


def test_a_flow_parks_until_the_other_is_over_without_a_thread(database: Database, start: Start) -> None:
    def wait(work: Work) -> Any:
        with work.transaction() as tx:
            other = journal.by_key(tx, "p", "child-of-" + work.id)
            if other is None:
                child = journal.begin(
                    tx, "child", "thing", work.resource_id, queue="any", project_id="p", key="child-of-" + work.id
                )
                return After(child)
        return {"saw": other["state"]}

    start(Flow("parent", (Step("wait", wait),)), Flow("child", (Step("a", nothing),)), threads=1)
    row = over(database, begin(database, "parent"))
    assert row["state"] == State.DONE and row["results"] == {"wait": {"saw": "done"}}


def test_waiting_for_what_is_over_does_not_spin(database: Database, start: Start) -> None:
    runs: list[int] = []

    def wait(work: Work) -> After:
        runs.append(1)
        return After("never-begun")

    start(Flow("f", (Step("a", wait),)))
    id = begin(database, "f")
    until(lambda: row_of(database, id)["attempts"] >= 3)
    assert len(runs) <= 8


def test_one_at_a_time_for_each_resource_across_processes(database: Database, start: Start) -> None:
    at_once, most, guard = 0, [0], threading.Lock()

    def busy(work: Work) -> None:
        nonlocal at_once
        with guard:
            at_once += 1
            most[0] = max(most[0], at_once)
        threading.Event().wait(0.005)
        with guard:
            at_once -= 1

    flow = Flow("f", (Step("a", busy), Step("b", nothing)))
    ids = [begin(database, "f") for _ in range(12)]
    start(flow)
    start(flow)
    assert [over(database, id)["state"] for id in ids] == [State.DONE] * 12
    assert most == [1]


def test_the_next_on_a_resource_begins_when_the_one_before_has_ended(
    database: Database, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moorage.operations.runner.POLL_S", 3600.0)  # nothing is found by looking again
    start(Flow("f", (Step("a", nothing), Step("b", nothing))), threads=2)
    ids = [begin(database, "f") for _ in range(10)]
    assert [over(database, id)["state"] for id in ids] == [State.DONE] * 10


def test_more_than_there_are_threads_for_are_all_carried_out(
    database: Database, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moorage.operations.runner.POLL_S", 3600.0)
    ids = [begin(database, "f", f"r{n}") for n in range(30)]
    start(Flow("f", (Step("a", nothing), Step("b", nothing))), threads=3)
    assert [over(database, id)["state"] for id in ids] == [State.DONE] * 30


def test_what_waits_on_its_thread_for_the_host_does_not_keep_the_host_from_working(
    database: Database, start: Start
) -> None:
    def ask_the_host(work: Work) -> None:
        id = begin(database, "host", f"v-{work.resource_id}", queue="host:here")
        assert over(database, id)["state"] == State.DONE

    flows = Flow("any", (Step("ask", ask_the_host),)), Flow("host", (Step("do", nothing),))
    start(*flows, queues=("any", "host:here"), threads=1)
    ids = [begin(database, "any", f"r{n}") for n in range(3)]
    assert [over(database, id)["state"] for id in ids] == [State.DONE] * 3


def test_a_lane_that_is_full_does_not_have_the_other_looked_through_again(database: Database, start: Start) -> None:
    going_on, go = threading.Event(), threading.Event()

    def hold(work: Work) -> None:
        going_on.set()
        go.wait(30)

    runner = start(Flow("host", (Step("hold", hold),)), queues=("any", "host:here"), threads=1)
    held = begin(database, "host", "r1", queue="host:here")
    assert going_on.wait(30)
    with database.write() as tx:  # may be claimed, but not by whoever is busy with what has the same id
        other = journal.begin(tx, "host", "namesake", "r1", queue="any", project_id="p")
    assert runner._claim() is False
    go.set()
    assert [over(database, id)["state"] for id in (held, other)] == [State.DONE] * 2


def test_what_waits_for_one_that_is_hindered_looks_again(database: Database, start: Start) -> None:
    start_failing = threading.Event()

    def first(work: Work) -> None:
        assert start_failing.wait(30)
        raise Unavailable()

    def second(work: Work) -> Any:
        with work.rooms.read() as tx:
            row = journal.get(tx, work.input["other"])
        return After(work.input["other"]) if row is not None and row["attempts"] == 0 else {}

    start(Flow("first", (Step("a", first),), retries=1 << 30), Flow("second", (Step("a", second),)), rooms=database)
    hindered = begin(database, "first")
    waiting = begin(database, "second", "r2", input={"other": hindered})
    until(lambda: row_of(database, waiting)["state"] == State.PARKED)
    start_failing.set()
    assert over(database, waiting)["state"] == State.DONE
    assert row_of(database, hindered)["state"] in (State.QUEUED, State.RUNNING)


def test_claims_take_the_oldest_of_each_resource_however_long_the_queue(database: Database) -> None:
    ids = [begin(database, "f", f"r{n // 100}") for n in range(300)]
    with database.write() as tx:
        first = claims.claim(tx, "me", ["any"], 10.0, limit=8)
        again = claims.claim(tx, "you", ["any"], 10.0, limit=8)
    assert {row["id"] for row in first} == {ids[0], ids[100], ids[200]} and again == []


def test_busy_resources_are_left_alone(database: Database) -> None:
    begin(database, "f", "r1")
    other = begin(database, "f", "r2")
    with database.write() as tx:
        assert [row["id"] for row in claims.claim(tx, "me", ["any"], 10.0, 8, busy=[("thing", "r1")])] == [other]


def test_the_dead_are_succeeded_at_once_and_the_silent_when_their_lease_is_over(
    database: Database, start: Start
) -> None:
    gone = process.Process("gone", "h", 2**22 + 1, "1", process.boot_id(), "up")
    elsewhere = process.Process("elsewhere", "h", 2**22 + 1, "1", "another boot", "up")
    with database.write() as tx:
        for who in (gone, elsewhere):
            process.register(tx, who, [])
    first = begin(database, "f", "r1", owner="gone", lease_s=3600)
    second = begin(database, "f", "r2", owner="elsewhere", lease_s=3600)
    start(Flow("f", (Step("a", nothing),)))
    assert over(database, first)["state"] == State.DONE
    assert row_of(database, second)["owner"] == "elsewhere"
    with database.write() as tx:
        tx.run(update(operations).where(operations.c.id == second).values(lease_until=tx.now - 1))
    assert over(database, second)["epoch"] == 2


def test_a_lease_is_renewed_while_a_step_runs(database: Database, start: Start) -> None:
    go = threading.Event()
    start(Flow("f", (Step("a", lambda work: go.wait(60) and None),)), lease_s=LEASE_S)
    id = begin(database, "f")
    until(lambda: row_of(database, id)["state"] == State.RUNNING)
    renewed(database, id, times=2)
    go.set()
    assert over(database, id)["epoch"] == 1


def test_stopping_gives_back_what_is_between_two_steps(database: Database, start: Start) -> None:
    inside, go = threading.Event(), threading.Event()

    def first(work: Work) -> None:
        inside.set()
        go.wait(60)

    runner = start(Flow("f", (Step("a", first), Step("b", nothing))))
    id = begin(database, "f")
    inside.wait(60)
    threading.Timer(0.1, go.set).start()
    runner.stop(patience_s=60)
    row = row_of(database, id)
    assert (row["state"], row["owner"], row["step"], row["lease_until"]) == (State.QUEUED, None, 1, None)


def test_a_step_that_outlives_the_stop_is_fenced(database: Database, start: Start) -> None:
    inside, go = threading.Event(), threading.Event()
    seen: list[BaseException] = []

    def first(work: Work) -> None:
        inside.set()
        go.wait(60)
        try:
            with work.transaction():
                pass
        except journal.Fenced as problem:
            seen.append(problem)
            raise

    runner = start(Flow("f", (Step("a", first),)))
    id = begin(database, "f")
    inside.wait(60)
    runner.stop(patience_s=0.05)
    with database.write() as tx:
        claims.release(tx, [runner.me.id])
    start(Flow("f", (Step("a", nothing),)))
    assert over(database, id)["state"] == State.DONE
    before = row_of(database, id)
    go.set()
    until(lambda: seen)
    assert row_of(database, id) == before


@pytest.fixture
def silent(database: Database) -> Iterator[None]:
    """The last process was heard of an hour ago."""
    with database.write() as tx:
        process.register(tx, process.Process("old", "h", 1, "", "b", "up"), [])
        tx.run(update(processes).values(heartbeat_at=tx.now - 3600 * SECOND))
    yield


def test_time_in_which_nobody_was_alive_counts_against_no_deadline(
    database: Database, start: Start, silent: None
) -> None:
    id = begin(database, "f", deadline_s=-600)
    start(Flow("f", (Step("a", nothing),)))
    assert over(database, id)["state"] == State.DONE


def test_a_deadline_passes_while_somebody_is_alive(database: Database, start: Start, silent: None) -> None:
    start(queues=())
    id = begin(database, "f", deadline_s=-600)
    start(Flow("f", (Step("a", nothing),)))
    assert over(database, id)["state"] == State.UNDONE


def test_a_clean_stop_leaves_word_of_when_it_was(database: Database, start: Start) -> None:
    start().stop()
    with database.write() as tx:
        tx.run(update(processes).values(heartbeat_at=processes.c.heartbeat_at - 3600 * SECOND))
        assert process.silence(tx) >= 3600 * SECOND


def test_a_process_that_was_struck_off_comes_back(database: Database, start: Start) -> None:
    runner = start(lease_s=0.3)
    with database.write() as tx:
        process.strike_off(tx, [runner.me.id])

    def listed() -> bool:
        with database.read() as tx:
            return tx.value(processes.select().where(processes.c.id == runner.me.id)) is not None

    until(listed)
