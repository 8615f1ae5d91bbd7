"""Operations that a request carries out: ended by it, undone without it."""

from typing import Any

import pytest
from sqlalchemy import update

from moorage.core.errors import Problem
from moorage.database import Database
from moorage.operations import claims, journal
from moorage.operations.flow import Cancelled, Flow
from moorage.operations.hold import Held, received
from moorage.operations.records import State, operations
from moorage.operations.runner import Runner
from tests.operations.conftest import Start
from tests.operations.crash import over
from tests.operations.leases import LEASE_S, renewed
from tests.operations.test_runner import begin, row_of
from tests.patience import until


class Upload:
    """A flow of two steps that requests carry out, and what was undone of it."""

    def __init__(self) -> None:
        self.undone: list[tuple[str, dict[str, Any]]] = []
        self.settled: list[str] = []
        steps = (received("receive", self._undo("receive")), received("record", self._undo("record")))
        self.flow = Flow("upload", steps, lambda tx, row: self.settled.append(row["state"]))

    def _undo(self, name: str) -> Any:
        return lambda work: self.undone.append((name, dict(work.results)))


def held(database: Database, runner: Runner) -> str:
    return begin(database, "upload", owner=runner.me.id, lease_s=runner.lease_s)


def test_a_request_that_finishes_has_done_it(database: Database, start: Start) -> None:
    upload = Upload()
    runner = start(upload.flow)
    with Held(runner, held(database, runner)) as hold:
        with database.write() as tx:
            hold.advance(tx, bytes=5)
        with database.write() as tx:
            hold.finish(tx, digest="d")
    row = row_of(database, hold.id)
    assert row["state"] == State.DONE and row["results"] == {"receive": {"bytes": 5}, "record": {"digest": "d"}}
    assert upload.undone == [] and upload.settled == ["done"]


def test_a_request_that_fails_is_undone_by_the_runner(database: Database, start: Start) -> None:
    upload = Upload()
    runner = start(upload.flow)

    class Short(Problem):
        """Bytes are missing."""

        status, code = 400, "test.short"

    with pytest.raises(Short), Held(runner, held(database, runner)) as hold:
        with database.write() as tx:
            hold.advance(tx, bytes=5)
        raise Short()
    row = over(database, hold.id)
    assert (row["state"], row["error_code"]) == (State.UNDONE, "test.short")
    assert upload.undone == [("record", {"receive": {"bytes": 5}}), ("receive", {"receive": {"bytes": 5}})]


def test_a_request_that_forgets_to_finish_is_undone(database: Database, start: Start) -> None:
    runner = start(Upload().flow)
    with Held(runner, held(database, runner)) as hold:
        pass
    assert over(database, hold.id)["error_code"] == "operation.abandoned"


def test_what_is_rolled_back_did_not_advance(database: Database, start: Start) -> None:
    runner = start(Upload().flow)
    with Held(runner, held(database, runner)) as hold:
        with pytest.raises(RuntimeError), database.write() as tx:
            hold.finish(tx)
            raise RuntimeError
        assert row_of(database, hold.id)["state"] == State.RUNNING
        with database.write() as tx:
            hold.finish(tx)
    assert row_of(database, hold.id)["state"] == State.DONE


def test_its_lease_is_renewed_for_as_long_as_it_is_held(database: Database, start: Start) -> None:
    upload = Upload()
    runner = start(upload.flow, lease_s=LEASE_S)
    with Held(runner, held(database, runner)) as hold:
        renewed(database, hold.id, times=2)
        with database.write() as tx:
            hold.finish(tx)
    assert row_of(database, hold.id)["epoch"] == 1


def test_one_that_nobody_holds_is_taken_over_and_undone(database: Database, start: Start) -> None:
    """Its process died, or its request did between the commit and the hold."""
    upload = Upload()
    runner = start(upload.flow, lease_s=0.3)
    row = over(database, held(database, runner))
    assert (row["state"], row["error_code"]) == (State.UNDONE, "operation.abandoned")
    assert [name for name, _ in upload.undone] == ["receive"]


def test_a_request_that_was_succeeded_changes_nothing(database: Database, start: Start) -> None:
    upload = Upload()
    runner = start(upload.flow, queues=())
    id = held(database, runner)
    with pytest.raises(journal.Fenced), Held(runner, id) as hold:
        with database.write() as tx:
            tx.run(update(operations).values(lease_until=0))
        with database.write() as tx:
            assert claims.claim(tx, "another", ["any"], 60.0, 1)
        before = row_of(database, id)
        with database.write() as tx:
            hold.finish(tx)
    assert row_of(database, id) == before


def test_a_cancelled_upload_hears_of_it(database: Database, start: Start) -> None:
    runner = start(Upload().flow)
    with pytest.raises(Cancelled), Held(runner, held(database, runner)) as hold:
        with database.write() as tx:
            journal.cancel(tx, hold.id)
        until(lambda: hold.check() and False)
    assert over(database, hold.id)["error_code"] == "operation.cancelled"
