"""Of long work only so much is done at once, and what is hindered, or elsewhere, keeps none of the rest waiting."""

import threading
from types import SimpleNamespace
from typing import Any

from moorage.core.errors import Unavailable
from moorage.database import Database
from moorage.flows.turns import turn
from moorage.operations import journal
from moorage.operations.flow import Flow, Step, Work
from moorage.operations.records import State
from tests.operations.conftest import Start, start
from tests.operations.crash import over

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
