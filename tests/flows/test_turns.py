"""Of long work only so much is done at once, and what is hindered, or elsewhere, keeps none of the rest waiting."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from moorage.core.errors import Unavailable
from moorage.database import Database
from moorage.flows.turns import turn
from moorage.operations import journal, work
from moorage.operations.flow import After, Flow, Step, Work
from moorage.operations.records import State
from tests.operations.conftest import Start, start
from tests.operations.crash import over
from tests.patience import set_in_the_end, until

__all__ = ["start"]

KIND = "long"


def begin(database: Database, resource: str, queue: str = "any") -> str:
    with database.write() as tx:
        return journal.begin(tx, KIND, "thing", resource, queue=queue, project_id="p")


def flow(do: Any) -> Flow:
    return Flow(KIND, (Step("do", lambda work: turn(work, KIND) or do(work)),), retries=1 << 30)


def test_the_first_ones_go_first_and_not_too_many_at_once(database: Database, start: Start) -> None:
    guard, now, most = threading.Lock(), [0], [0]

    def busy(work: Work) -> None:
        with guard:
            now[0] += 1
            most[0] = max(most[0], now[0])
        threading.Event().wait(0.01)
        with guard:
            now[0] -= 1

    ids = [begin(database, f"r{n}") for n in range(8)]
    start(flow(busy), rooms=SimpleNamespace(database=database), threads=8)
    assert [over(database, id)["state"] for id in ids] == [State.DONE] * 8
    assert most[0] <= 2


def test_what_is_hindered_or_in_a_queue_that_nobody_serves_keeps_nobody_waiting(
    database: Database, start: Start
) -> None:
    def away(work: Work) -> None:
        if work.resource_id.startswith("away"):
            raise Unavailable()

    gone = [begin(database, f"elsewhere{n}", "host:gone") for n in range(2)]
    hindered = [begin(database, f"away{n}") for n in range(3)]
    well = [begin(database, f"r{n}") for n in range(4)]
    start(flow(away), rooms=SimpleNamespace(database=database))
    assert [over(database, id)["state"] for id in well] == [State.DONE] * 4
    with database.read() as tx:
        rows = [journal.get(tx, id) or {} for id in (*gone, *hindered)]
    assert all(row["ended_at"] is None for row in rows)


def test_who_is_hindered_while_somebody_sees_that_he_comes_later_keeps_him_not_waiting(
    database: Database, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "pause_s", lambda attempts: 3600.0)
    fail, go = threading.Event(), threading.Event()

    def hindered() -> bool:
        with database.read() as tx:
            return bool((journal.get(tx, first) or {})["attempts"])

    def do(of: Work) -> After | None:
        found = turn(of, KIND)
        if found is not None:
            fail.set()
            until(hindered)
        elif of.id == first:
            fail.wait(60)
            raise Unavailable()
        elif of.id == second:
            go.wait(60)
        return found

    with set_in_the_end(fail, go):
        first, second, third = (begin(database, f"r{n}") for n in range(3))
        start(Flow(KIND, (Step("do", do),), retries=9), rooms=SimpleNamespace(database=database))
        assert over(database, third)["state"] == State.DONE
