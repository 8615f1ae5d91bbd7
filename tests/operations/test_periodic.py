"""Timed jobs: one process at a time, again after a crash, and again after a failure."""

import threading

from sqlalchemy import select, update

from moorage.database import Database
from moorage.operations import records
from moorage.operations.periodic import Job, Periodic, take
from tests.operations.test_journal import both
from tests.patience import until


def test_of_many_processes_one_takes_a_job(database: Database) -> None:
    job, taken, barrier = Job("j", 3600.0, lambda: None), [], threading.Barrier(6)

    def ask(owner: str) -> None:
        barrier.wait()
        while (again := database.transact(lambda tx: take(tx, job, owner))) is not None and again < 1:
            pass
        if again is None:
            taken.append(owner)

    assert both(*(lambda n=n: ask(str(n)) for n in range(6))) == [None] * 6
    assert len(taken) == 1


def test_a_job_runs_again_and_again_though_it_fails(database: Database) -> None:
    runs: list[int] = []

    def work() -> None:
        runs.append(1)
        raise RuntimeError("secret")

    periodic = Periodic(database, "me")
    periodic.add(Job("j", 0.02, work))
    periodic.start()
    until(lambda: len(runs) >= 3)
    periodic.stop()

    def told() -> bool:
        with database.read() as tx:
            row = tx.one(select(records.jobs))
        return row is not None and row["error"] == "RuntimeError" and row["owner"] is None

    until(told)


def test_a_job_whose_process_died_is_taken_when_its_lease_is_over(database: Database) -> None:
    job = Job("j", 0.0, lambda: None)
    with database.write() as tx:
        assert take(tx, job, "dead") is None
    with database.write() as tx:
        assert take(tx, job, "me") > 1  # type: ignore[operator]
        tx.run(update(records.jobs).values(lease_until=tx.now - 1))
    with database.write() as tx:
        assert take(tx, job, "me") is None
