"""Transactions: all or nothing, locks in order, hooks, one at a time for a thread."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, Column, MetaData, String, Table, delete, func, insert, select, text, update

from moorage.database import Database
from moorage.database.errors import DatabaseFull, DatabaseUnavailable
from tests.operations.test_journal import both

# Toys with the names of real tables, since these are what may be locked.
toys = MetaData()
quotas = Table("quotas", toys, Column("id", String(64), primary_key=True), Column("left", BigInteger))
volumes = Table("volumes", toys, Column("id", String(64), primary_key=True), Column("status", String(16)))
children = Table("attachments", toys, Column("id", String(64), primary_key=True), Column("volume", String(64)))


@pytest.fixture
def toy_database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    toys.create_all(database.engine)
    yield database
    database.close()


@pytest.mark.parametrize("round", range(3))
def test_two_takers_of_the_last_unit(toy_database: Database, round: int) -> None:
    database, barrier, got = toy_database, threading.Barrier(2), []
    with database.write() as tx:
        tx.run(insert(quotas).values(id="q", left=1))

    def take() -> None:
        barrier.wait()
        with database.write() as tx:
            row = tx.lock(quotas, ["q"])[0]
            if row["left"] > 0:
                threading.Event().wait(0.02)
                tx.run(update(quotas).values(left=row["left"] - 1))
                got.append(1)

    assert both(take, take) == [None, None]
    with database.read() as tx:
        assert got == [1] and tx.value(select(quotas.c.left)) == 0


@pytest.mark.parametrize("round", range(3))
def test_two_deletes_of_the_last_two_children(toy_database: Database, round: int) -> None:
    """The parent is derived from its children; whoever deletes the last one must see that it is the last."""
    database, barrier = toy_database, threading.Barrier(2)
    with database.write() as tx:
        tx.run(insert(volumes).values(id="v", status="in-use"))
        tx.run(insert(children), [{"id": "a", "volume": "v"}, {"id": "b", "volume": "v"}])

    def remove(child: str) -> None:
        barrier.wait()
        with database.write() as tx:
            tx.lock(volumes, ["v"])
            tx.lock(children, [child])
            tx.run(delete(children).where(children.c.id == child))
            threading.Event().wait(0.02)
            if tx.value(select(func.count()).select_from(children)) == 0:
                tx.run(update(volumes).values(status="available"))

    assert both(lambda: remove("a"), lambda: remove("b")) == [None, None]
    with database.read() as tx:
        assert tx.value(select(volumes.c.status)) == "available"


def test_opposite_wishes_do_not_deadlock(toy_database: Database) -> None:
    ids = [f"{n:03}" for n in range(40)]
    with toy_database.write() as tx:
        tx.run(insert(volumes), [{"id": id, "status": "0"} for id in ids])

    def lock(wanted: list[str]) -> None:
        for _ in range(10):
            with toy_database.write() as tx:
                assert [row["id"] for row in tx.lock(volumes, wanted)] == ids

    assert both(lambda: lock(ids), lambda: lock(ids[::-1])) == [None, None]


def test_a_lock_out_of_order_raises_on_both_engines(toy_database: Database) -> None:
    with pytest.raises(AssertionError, match="locked after"), toy_database.write() as tx:
        tx.lock(volumes, ["v"])
        tx.lock(quotas, ["q"])
    with pytest.raises(AssertionError, match="locked after"), toy_database.write() as tx:
        tx.lock(volumes, ["b"])
        tx.lock(volumes, ["a"])
    with pytest.raises(AssertionError, match="only reads"), toy_database.read() as tx:
        tx.lock(volumes, ["a"])


def test_what_is_locked_may_be_asked_for_again(toy_database: Database) -> None:
    with toy_database.write() as tx:
        tx.run(insert(volumes), [{"id": "a", "status": "1"}, {"id": "b", "status": "1"}])
        tx.lock(volumes, ["a", "b"])
        tx.run(update(volumes).values(status="2"))
        assert [row["status"] for row in tx.lock(volumes, ["a"])] == ["2"]
        assert tx.lock(volumes, []) == []


def test_a_write_within_a_write_is_refused(toy_database: Database) -> None:
    with pytest.raises(AssertionError, match="inside another"), toy_database.write(), toy_database.write():
        pass
    with toy_database.write() as tx:
        assert tx.writes


def test_all_or_nothing(toy_database: Database) -> None:
    told: list[str] = []
    toy_database.listen("topic", told.append)
    with pytest.raises(ZeroDivisionError), toy_database.write() as tx:
        tx.run(insert(volumes).values(id="a"))
        tx.notify("topic", "lost")
        raise ZeroDivisionError
    with toy_database.write() as tx:
        tx.run(insert(volumes).values(id="b"))
        tx.notify("topic", "kept")
        assert told == []
    with toy_database.read() as tx:
        assert tx.all(select(volumes.c.id)) == [{"id": "b"}] and told == ["kept"]


def test_a_listener_that_fails_or_has_left_harms_nobody(toy_database: Database) -> None:
    told: list[str] = []

    def wrong(what: str) -> None:
        raise RuntimeError

    toy_database.listen("topic", wrong)
    leave = toy_database.listen("topic", told.append)
    for _ in range(2):
        with toy_database.write() as tx:
            tx.notify("topic", "x")
            tx.after_commit(lambda: wrong(""))
        leave()
    assert told == ["x"]


def test_a_read_sees_one_state(toy_database: Database) -> None:
    with toy_database.read() as tx:
        assert tx.all(select(volumes)) == []
        with toy_database.write() as other:
            other.run(insert(volumes).values(id="a"))
        assert tx.all(select(volumes)) == []
    with toy_database.read() as tx:
        assert len(tx.all(select(volumes))) == 1


def test_a_deadlock_is_tried_again(toy_database: Database) -> None:
    if toy_database.dialect == "sqlite":
        pytest.skip("SQLite lets one transaction write at a time")
    with toy_database.write() as tx:
        tx.run(insert(volumes), [{"id": "a", "status": "0"}, {"id": "b", "status": "0"}])
    barrier, runs = threading.Barrier(2), []

    def change(first: str, second: str) -> None:
        def work(tx: object) -> None:
            runs.append(first)
            tx.run(update(volumes).where(volumes.c.id == first).values(status="1"))  # type: ignore[attr-defined]
            if len(runs) <= 2:
                barrier.wait(60)
            tx.run(update(volumes).where(volumes.c.id == second).values(status="1"))  # type: ignore[attr-defined]

        toy_database.transact(work)

    assert both(lambda: change("a", "b"), lambda: change("b", "a")) == [None, None]
    assert len(runs) == 3


def test_connections_that_died_in_the_pool_are_replaced(toy_database: Database) -> None:
    if toy_database.dialect == "sqlite":
        pytest.skip("SQLite has no server")
    other = Database(toy_database.url)
    with other.write() as a, toy_database.read() as b:
        assert a.now and b.now
    with toy_database.write() as tx:
        others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        tx.all(text(f"SELECT pg_terminate_backend(pid) {others}"))
    with other.write() as tx:
        assert tx.value(text("SELECT 1")) == 1
    other.close()


def test_a_server_that_is_not_there_is_a_problem_of_its_own() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(DatabaseUnavailable), database.write():
        pass
    assert DatabaseUnavailable.status == 503


def test_a_closed_database_closes_nothing_of_anybody_else_in_a_forked_process(tmp_path: Path) -> None:
    over = Database(f"sqlite:///{tmp_path}/over.db")
    over.close()
    files = [os.open(tmp_path / "mine", os.O_RDWR | os.O_CREAT) for _ in range(8)]  # numbers that were `over`'s
    over.close()
    if (child := os.fork()) == 0:
        try:
            assert {os.fstat(file).st_ino for file in files} == {(tmp_path / "mine").stat().st_ino}
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    for file in files:
        assert os.fstat(file).st_ino == (tmp_path / "mine").stat().st_ino
        os.close(file)


def test_a_forked_process_has_locks_and_connections_of_its_own(toy_database: Database) -> None:
    with toy_database.write() as tx:
        tx.run(insert(volumes).values(id="a", status="0"))
    inside, go = os.pipe(), os.pipe()
    with toy_database.read() as tx:
        assert tx.value(select(volumes.c.status)) == "0"
        if (child := os.fork()) == 0:
            try:
                os.read(go[0], 1)
                os.write(inside[1], b"1")
                with toy_database.write() as mine:  # waits for the parent
                    status = mine.lock(volumes, ["a"])[0]["status"]
                    mine.run(update(volumes).values(status=f"{status}+child"))
                os._exit(0)
            finally:
                os._exit(1)
    with toy_database.write() as tx:
        tx.lock(volumes, ["a"])
        os.write(go[1], b"1")
        os.read(inside[0], 1)
        threading.Event().wait(0.1)
        tx.run(update(volumes).values(status="parent"))
    _, status = os.waitpid(child, 0)
    with toy_database.read() as tx:
        assert status == 0 and tx.value(select(volumes.c.status)) == "parent+child"


def test_a_full_disk_is_called_that_and_changes_nothing(toy_database: Database) -> None:
    with pytest.raises(DatabaseFull), toy_database.write() as tx:
        tx.run(insert(children).values(id="a"))
        if toy_database.dialect == "postgresql":
            tx.run(text("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full'; END $$"))
        else:
            tx.run(text("PRAGMA max_page_count = 1"))  # no page more than there are
            for n in range(10_000):
                tx.run(insert(children).values(id=str(n), volume="v" * 4000))
    with toy_database.write() as tx:
        if toy_database.dialect == "sqlite":
            tx.run(text("PRAGMA max_page_count = 1000000"))
        assert tx.all(select(children)) == []
        tx.run(insert(children).values(id="a"))
