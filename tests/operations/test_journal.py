"""Keys, locks and wake-ups of the journal, with two transactions at once."""

import threading
from typing import Any

import pytest
from sqlalchemy import text

from moorage.core.errors import Malformed
from moorage.database import Database
from moorage.operations import claims, journal
from moorage.operations.flow import After
from moorage.operations.journal import Stored
from moorage.operations.records import State
from tests.operations.test_runner import begin, row_of


def both(*works: Any) -> list[BaseException | None]:
    """Run these at once; what each raised."""
    raised: list[BaseException | None] = [None] * len(works)

    def run(n: int, work: Any) -> None:
        try:
            work()
        except Exception as problem:
            raised[n] = problem

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return raised


def claimed(database: Database, owner: str, *ids: str) -> None:
    with database.write() as tx:
        assert {row["id"] for row in claims.claim(tx, owner, ["any"], 60.0, 10)} >= set(ids)


def test_a_key_finds_the_operation_of_its_project(database: Database) -> None:
    id = begin(database, "f", key="k")
    with database.read() as tx:
        assert (journal.by_key(tx, "p", "k") or {})["id"] == id
        assert journal.by_key(tx, "q", "k") is None and journal.by_key(tx, "p", "other") is None


def test_two_requests_with_one_key_begin_one_operation(database: Database) -> None:
    barrier = threading.Barrier(2)

    def request() -> None:
        barrier.wait()
        begin(database, "f", key="k")

    raised = both(request, request)
    assert sorted(type(problem).__name__ for problem in raised) == ["KeyTaken", "NoneType"]


def test_a_key_needs_a_project(database: Database) -> None:
    with pytest.raises(Malformed), database.write() as tx:
        journal.begin(tx, "f", "thing", "r", queue="any", project_id=None, key="k")


@pytest.mark.parametrize("round", range(5))
def test_no_wake_up_is_lost_between_parking_and_the_end(database: Database, round: int) -> None:
    child, parent = begin(database, "f", "r1"), begin(database, "f", "r2")
    claimed(database, "me", child, parent)
    barrier, parked = threading.Barrier(2), []

    def park() -> None:
        barrier.wait()
        parked.append(database.transact(lambda tx: journal.park(tx, parent, 1, After(child))))

    def end() -> None:
        barrier.wait()
        database.transact(lambda tx: journal.end(tx, child, 1, State.DONE))

    assert both(park, end) == [None, None]
    assert row_of(database, parent)["state"] == (State.QUEUED if parked[0] else State.RUNNING)


def test_an_end_waits_for_who_is_about_to_park(database: Database) -> None:
    """The interleaving that loses a wake-up, forced: the parking has looked, the end comes before it commits."""
    if database.dialect == "sqlite":
        pytest.skip("SQLite lets one transaction write at a time")
    child, parent = begin(database, "f", "r1"), begin(database, "f", "r2")
    claimed(database, "me", child, parent)
    ended = threading.Thread(target=lambda: database.transact(lambda tx: journal.end(tx, child, 1, State.DONE)))
    with database.write() as tx:
        assert journal.park(tx, parent, 1, After(child))
        ended.start()
        ended.join(0.3)
        assert ended.is_alive()
    ended.join(60)
    assert row_of(database, parent)["state"] == State.QUEUED


def test_only_the_owner_of_the_epoch_may_write(database: Database) -> None:
    id = begin(database, "f")
    claimed(database, "me", id)
    for change in (journal.write, journal.let_go):
        with pytest.raises(journal.Fenced), database.write() as tx:
            change(tx, id, 2)
    with pytest.raises(journal.Fenced), database.write() as tx:
        journal.end(tx, id, 0, State.DONE)


def test_a_failure_is_told_as_it_was_raised(database: Database) -> None:
    id = begin(database, "f")
    assert Stored.of(row_of(database, id)) is None
    claimed(database, "me", id)
    with database.write() as tx:
        journal.end(tx, id, 1, State.UNDONE, error="It is wrong.", error_code="x.wrong", error_status=400)
    stored = Stored.of(row_of(database, id))
    assert stored is not None and (stored.sentence, stored.code, stored.status) == ("It is wrong.", "x.wrong", 400)


def test_the_last_and_the_open_operations_of_a_resource(database: Database) -> None:
    first, second = begin(database, "f"), begin(database, "f")
    claimed(database, "me", first)
    with database.write() as tx:
        journal.end(tx, first, 1, State.DONE)
    with database.read() as tx:
        assert (journal.last_on(tx, "thing", "r1") or {})["id"] == first
        assert [row["id"] for row in journal.open_on(tx, "thing", ["r1"])] == [second]


def test_who_had_to_wait_for_the_resource_comes_after_whom_he_waited_for(database: Database) -> None:
    """His transaction began earlier, so that it has the earlier time; no clock says who had the resource first."""
    more: dict[str, Any] = {"queue": "", "project_id": None}
    with database.write() as tx:
        first = journal.begin(tx, "upload", "image", "i1", owner="p", **more)
    with database.write() as tx:
        tx.now -= 60 * journal.SECOND
        second = journal.begin(tx, "delete", "image", "i1", **more)
        other = journal.begin(tx, "delete", "image", "i2", **more)
    with database.write() as tx:
        journal.let_go(tx, first, 1, back=True)
    with database.write() as tx:
        assert {row["id"] for row in claims.claim(tx, "q", [""], 60, 9)} == {first, other}
        journal.end(tx, first, 2, State.UNDONE)
    with database.write() as tx:
        assert [row["id"] for row in claims.claim(tx, "q", [""], 60, 9)] == [second]


def test_cancelling_comes_before_other_locks(database: Database) -> None:
    from sqlalchemy import Column, MetaData, String, Table

    volumes = Table("volumes", MetaData(), Column("id", String, primary_key=True))
    volumes.metadata.create_all(database.engine, checkfirst=True)
    id = begin(database, "f")
    with pytest.raises(AssertionError, match="is locked after volumes"), database.write() as tx:
        tx.lock(volumes, ["v"])
        journal.cancel(tx, id)


def test_claims_and_sweeps_use_their_indexes(database: Database) -> None:
    with database.write() as tx:
        if tx.dialect == "postgresql":
            tx.run(text("SET LOCAL enable_seqscan = off"))
        explain = "EXPLAIN QUERY PLAN " if tx.dialect == "sqlite" else "EXPLAIN "
        claiming = claims._claimable(busy=False).params(now=1, the_queue="any", the_room=8)
        for query, index in (
            (claiming.compile(database.engine, compile_kwargs={"literal_binds": True}), "ix_operations_open"),
            ("SELECT id FROM operations WHERE ended_at < 5", "ix_operations_ended_at"),
            ("SELECT id FROM operations WHERE waits_for = 'x'", "ix_operations_waits_for"),
        ):
            assert index in str(tx.all(text(f"{explain} {query}")))


def test_only_what_is_old_and_over_is_forgotten(database: Database) -> None:
    ids = [begin(database, "f", f"r{n}") for n in range(3)]
    claimed(database, "me", *ids)
    with database.write() as tx:
        for id in ids[:2]:
            journal.end(tx, id, 1, State.DONE)
        before = tx.now + 1
    with database.write() as tx:
        assert journal.forget(tx, before, limit=1) == 1
        assert journal.forget(tx, before) == 1 and journal.forget(tx, before) == 0
    assert row_of(database, ids[2]) is not None
