"""
Timed jobs: each is run by one process at a time, whichever has a thread for it when it is due.

A job's row says when it is due and who is at it; a process takes it by changing the row. One that dies over a job loses
it when its lease is over. A job may therefore run twice, and says nothing to anybody but by what it changes.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from moorage.database import Database, Transaction
from moorage.operations.journal import SECOND
from moorage.operations.records import jobs

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 30.0


@dataclass(frozen=True)
class Job:
    """What is done every `interval_s`; `lease_s` is longer than it ever takes."""

    name: str
    interval_s: float
    work: Callable[[], object]
    lease_s: float = 300.0


class Periodic:
    """The jobs that this process knows, on one thread."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database, self._owner = database, owner
        self._jobs: dict[str, Job] = {}
        self._due: dict[str, float] = {}  # by our own clock: when to look at the job's row next
        self._guard, self._wake, self._stop = threading.Lock(), threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, job: Job) -> None:
        """Run `job` from now on. Two jobs of one name are a programming error."""
        with self._guard:
            if job.name in self._jobs:
                raise AssertionError(f"two jobs are called {job.name}")
            self._jobs[job.name], self._due[job.name] = job, 0.0
        self._wake.set()

    def start(self) -> None:
        """Begin, on a thread that does not keep the process from ending. Starting twice is starting once."""
        with self._guard:
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="periodic", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Begin no further job; one that is running goes on."""
        self._stop.set()
        self._wake.set()

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(self._wait_s())
            self._wake.clear()
            for job in self._ready():
                if not self._stop.is_set():
                    self._look_at(job)

    def _wait_s(self) -> float:
        with self._guard:
            first = min(self._due.values(), default=time.monotonic() + LONGEST_WAIT_S)
        return min(max(first - time.monotonic(), 0.0), LONGEST_WAIT_S)

    def _ready(self) -> list[Job]:
        now = time.monotonic()
        with self._guard:
            return [job for job in self._jobs.values() if self._due[job.name] <= now]

    def _look_at(self, job: Job) -> None:
        try:
            due_in_s = self._database.transact(lambda tx: take(tx, job, self._owner))
            if due_in_s is None:
                self._carry_out(job)
                due_in_s = job.interval_s
        except Exception:
            log.exception("the job %s could not be looked at", job.name)
            due_in_s = min(job.interval_s, LONGEST_WAIT_S)
        with self._guard:
            self._due[job.name] = time.monotonic() + due_in_s

    def _carry_out(self, job: Job) -> None:
        error: str | None = None
        try:
            job.work()
        except Exception as problem:
            log.exception("the job %s failed", job.name)
            error = type(problem).__name__
        mine = update(jobs).where(jobs.c.name == job.name, jobs.c.owner == self._owner)
        self._database.transact(lambda tx: tx.run(mine.values(owner=None, lease_until=None, error=error)))


def take(tx: Transaction, job: Job, owner: str) -> float | None:
    """None: the job is due and `owner` has it now. Otherwise in how many seconds to ask again."""
    if tx.value(select(jobs.c.name).where(jobs.c.name == job.name)) is None:
        try:
            tx.run(insert(jobs).values(name=job.name, due_at=tx.now))
        except IntegrityError:  # another process was faster, and this transaction is over on PostgreSQL
            return 0.05
    c: Any = jobs.c
    mine = update(jobs).where(
        c.name == job.name, c.due_at <= tx.now, or_(c.lease_until.is_(None), c.lease_until < tx.now)
    )
    leased = {"owner": owner, "lease_until": tx.now + int(job.lease_s * SECOND)}
    if tx.run(mine.values(due_at=tx.now + int(job.interval_s * SECOND), **leased)):
        return None
    row = tx.one(select(jobs).where(c.name == job.name))
    at = max(row["due_at"], row["lease_until"] or 0) if row is not None else tx.now
    return float(max(at - tx.now, 0) / SECOND + 0.01)
