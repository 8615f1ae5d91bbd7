"""
One operation being carried out: forward step by step, or back undo by undo, each written down before the next.

What a step costs here is the one transaction that writes it down; the same statement answers whether the operation was
cancelled or is overdue, so that nothing is read before the next step.
"""

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy.exc import DBAPIError

from moorage.core.errors import Problem
from moorage.database import Database, Transaction
from moorage.database.errors import DatabaseUnavailable
from moorage.operations import journal
from moorage.operations.flow import After, Cancelled, Flow, Overdue, Step
from moorage.operations.journal import Fenced, Stored
from moorage.operations.records import State

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 60.0
LOOK_S = 0.5  #: how often at most a long step's `check` looks into the journal


def pause_s(attempts: int) -> float:
    """How long to wait after so many failures of the same step: twice as long each time, up to a minute."""
    return min(FIRST_PAUSE_S * float(1 << min(attempts, 10)), LONGEST_PAUSE_S)


class _Refused(Exception):
    """The operation does not end done, for this `cause`: it is turned back."""

    def __init__(self, cause: Problem) -> None:
        self.cause = cause


class Carried:
    """An operation that this process owns. It is the `Work` that steps see."""

    def __init__(
        self,
        database: Database,
        flow: Flow,
        row: Mapping[str, Any],
        rooms: Any,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._database, self._flow, self.rooms, self._stopping = database, flow, rooms, stopping
        self.id: str = row["id"]
        self.epoch: int = row["epoch"]
        self.resource: tuple[str, str] = (row["resource_kind"], row["resource_id"])
        self.resource_id: str = row["resource_id"]
        self.queue: str = row["queue"]
        self.project_id: str | None = row["project_id"]
        self.input: Mapping[str, Any] = row["input"]
        self.results: dict[str, Any] = dict(row["results"])
        self.error: Problem | None = Stored.of(row)
        self._step: int = row["step"]
        self._attempts: int = row["attempts"]
        self._back: bool = row["back"]
        self._mine = True  # until it is over, paused, parked, or somebody else's
        self._looked = time.monotonic()
        self._learn(row, row["updated_at"])

    @property
    def tag(self) -> str:
        return f"{self.id}-{self.epoch}"

    @property
    def stopping(self) -> bool:
        return self._stopping()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A write transaction of the owner of this epoch."""
        with self._database.write() as tx:
            self._learn(journal.write(tx, self.id, self.epoch), tx.now)
            yield tx

    def check(self) -> None:
        """
        Raise what turns the operation back, or that it is no longer ours. Looks into the journal twice a second at
        most.
        """
        if time.monotonic() - self._looked > LOOK_S:
            with self._database.read() as tx:
                row = journal.get(tx, self.id)
                if row is None or row["epoch"] != self.epoch or row["state"] != State.RUNNING:
                    raise Fenced(operation=self.id)
                self._learn(row, tx.now)
        self._turn_back_where_asked()

    def cancelled(self) -> None:
        """Remember that somebody cancelled it. For the runner, which hears of it."""
        self._cancel = True

    def carry_out(self) -> None:
        """Go on where the journal says, to the end, to a pause, or until somebody else has taken over."""
        try:
            while self._mine:
                if self._back:
                    self._undo_step()
                else:
                    self._do_step()
        except Fenced:
            log.warning("operation %s was taken over by another process", self.id)

    def give_back(self, problem: BaseException | None, pause: float) -> None:
        """
        Leave it to whoever comes after `pause`: what went wrong is not a step's doing, so that nothing is known of it.
        """
        hindrance: dict[str, Any] = {} if problem is None else {"hindrance": known(problem).sentence}
        attempts = self._attempts + (problem is not None)

        def change(tx: Transaction) -> None:
            journal.let_go(tx, self.id, self.epoch, pause, heed=self._may_turn_back(), attempts=attempts, **hindrance)
            if problem is not None:
                journal.wake(tx, self.id)  # whose turn it is, may be another matter now

        self._write(change)

    def _learn(self, row: Mapping[str, Any], now: int) -> None:
        self._looked = time.monotonic()
        self._cancel = bool(row["cancel"])
        self._overdue = row["deadline"] is not None and row["deadline"] < now

    def _turn_back_where_asked(self) -> None:
        if (self._cancel or self._overdue) and self._may_turn_back():
            raise Cancelled() if self._cancel else Overdue()

    def _may_turn_back(self) -> bool:
        known_here = self._step < len(self._flow.steps)
        return known_here and not self._back and self._flow.turning_back_allowed(self._step)

    def _write(self, change: Callable[[Transaction], Any]) -> None:
        self._database.transact(change)

    def _do_step(self) -> None:
        if self._step >= len(self._flow.steps):
            self._end(State.DONE)
            return
        step = self._flow.steps[self._step]
        try:
            self._turn_back_where_asked()
            result = step.do(self)
            if not isinstance(result, After):
                result = json.loads(json.dumps(dict(result or {})))  # what others will read, or the step's failure
        except Fenced:
            raise
        except Exception as problem:
            self._failed(problem)
        else:
            if isinstance(result, After):
                self._park(result)
            else:
                self._advance(step, result)

    def _advance(self, step: Step, result: Mapping[str, Any]) -> None:
        """
        Write down that the step is done; the last one's end is the operation's, unless it was cancelled meanwhile:
        nobody is left with something whose maker has gone.
        """
        results = {**self.results, step.name: result}
        if self._step + 1 < len(self._flow.steps):
            self._proceed(self._step + 1, results=results)
        else:
            try:
                self._end(State.DONE, heed=self._flow.turning_back_allowed(self._step), results=results)
            except _Refused as refused:
                self._turn_back(refused.cause, results=results)
        self.results = results

    def _undo_step(self) -> None:
        self._step = min(self._step, len(self._flow.steps) - 1)
        step = self._flow.steps[self._step] if self._step >= 0 else None
        if step is not None and step.undo is not None:
            try:
                step.undo(self)
            except Fenced:
                raise
            except Exception as problem:
                self._report(problem, f"undoing step {step.name}")
                self._pause(problem)
                return
        if self._step <= 0:
            self._end(State.UNDONE)
        else:
            self._proceed(self._step - 1)

    def _proceed(self, step: int, **values: Any) -> None:
        """Write down which step is next; give the operation back where the process is about to stop."""
        free: dict[str, Any] = {"state": State.QUEUED, "owner": None, "lease_until": None} if self._stopping() else {}
        progress: dict[str, Any] = {"step": step, "attempts": 0, "hindrance": None, **values}

        def change(tx: Transaction) -> None:
            self._learn(journal.write(tx, self.id, self.epoch, **progress, **free), tx.now)

        self._write(change)
        self._step, self._attempts, self._mine = step, 0, not free

    def _end(self, state: State, heed: bool = False, **values: Any) -> None:
        """
        End it; with `heed`, raise `_Refused`, changing nothing, where it was cancelled or its flow will not record it.
        """

        def change(tx: Transaction) -> None:
            row = journal.end(tx, self.id, self.epoch, state, step=max(self._step, 0), hindrance=None, **values)
            if heed and row["cancel"]:
                raise _Refused(Cancelled())
            if state is State.DONE and self._flow.record is not None:
                try:
                    self._flow.record(tx, row)
                except Problem as problem:
                    raise (_Refused(problem) if heed else problem) from problem
            self._settle(tx, row)

        self._write(change)
        self._mine = False

    def _settle(self, tx: Transaction, row: Mapping[str, Any]) -> None:
        if self._flow.settle is not None:
            self._flow.settle(tx, row)

    def _failed(self, problem: Exception) -> None:
        """Try again later what may work then; turn back from the rest, if that is allowed; never drop it."""
        step, cause = self._flow.steps[self._step], known(problem)
        self._report(problem, f"step {step.name}")
        transient = cause.status == 503 and self._attempts < self._flow.retries
        if transient or not self._flow.turning_back_allowed(self._step):
            self._pause(problem)
        else:
            self._turn_back(cause)

    def _turn_back(self, cause: Problem, **values: Any) -> None:
        def change(tx: Transaction) -> None:
            reason: dict[str, Any] = {"error": cause.sentence, "error_code": cause.code, "error_status": cause.status}
            turned: dict[str, Any] = {"back": True, "step": self._step, "attempts": 0, "hindrance": None}
            self._settle(tx, journal.write(tx, self.id, self.epoch, whole=True, **turned, **reason, **values))

        self._write(change)
        self.error, self._back, self._attempts = cause, True, 0

    def _pause(self, problem: BaseException) -> None:
        """Give the operation back to the queue for a while that doubles each time."""
        self.give_back(problem, pause_s(self._attempts))
        self._mine = False

    def _park(self, after: After) -> None:
        """
        Wait, without a thread, until another operation is over; if it already is, run the step again, at once the first
        time. Whoever cancelled it since its step last looked is heard.
        """

        def change(tx: Transaction) -> bool:
            parked = journal.park(tx, self.id, self.epoch, after, heed=self._may_turn_back(), attempts=0)
            if not parked:
                self._learn(journal.write(tx, self.id, self.epoch), tx.now)
            return parked

        if self._database.transact(change):
            self._mine = False
        elif self._attempts:
            self._pause(Problem())
        else:
            self._attempts = 1

    def _report(self, problem: Exception, what: str) -> None:
        if isinstance(problem, Problem):
            log.warning("%s of operation %s failed: %s", what, self.id, problem)
        else:
            log.error("%s of operation %s failed", what, self.id, exc_info=problem)


def known(problem: BaseException) -> Problem:
    """What went wrong as a `Problem`; what nobody foresaw says nothing about itself, since it may hold secrets."""
    if isinstance(problem, Problem):
        return problem
    return DatabaseUnavailable() if isinstance(problem, DBAPIError) else Problem()
