"""One operation being carried out: forward step by step, or back undo by undo, each written down before the next."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from moorage.core.errors import Problem
from moorage.database import Database, Transaction
from moorage.operations import journal
from moorage.operations.flow import After, Cancelled, Flow, Overdue
from moorage.operations.journal import SECOND, Fenced, Stored
from moorage.operations.records import State

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 60.0


class Carried:
    """An operation that this process owns. It is the `Work` that steps see."""

    def __init__(self, database: Database, flow: Flow, row: Mapping[str, Any], rooms: Any) -> None:
        self._database, self._flow, self._row, self.rooms = database, flow, row, rooms
        self.id: str = row["id"]
        self.epoch: int = row["epoch"]
        self.resource_id: str = row["resource_id"]
        self.project_id: str | None = row["project_id"]
        self.input: Mapping[str, Any] = row["input"]
        self.results: dict[str, Any] = dict(row["results"])
        self._step: int = row["step"]
        self._attempts: int = row["attempts"]
        self._back: bool = row["back"]
        self.error: Problem | None = Stored.of(row)

    @property
    def tag(self) -> str:
        return f"{self.id}-{self.epoch}"

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A write transaction of the owner of this epoch."""
        with self._database.write() as tx:
            journal.write(tx, self.id, self.epoch)
            yield tx

    def check(self) -> None:
        """Raise what turns the operation back, where something does."""
        with self._database.read() as tx:
            row = journal.get(tx, self.id)
            if row is None or row["epoch"] != self.epoch:
                raise Fenced(operation=self.id)
            if self._back or not self._flow.turning_back_allowed(self._step):
                return
            if row["cancel"]:
                raise Cancelled()
            if row["deadline"] is not None and row["deadline"] < tx.now:
                raise Overdue()

    def carry_out(self) -> None:
        """Go on where the journal says, to the end, to a pause, or until somebody else has taken over."""
        try:
            if not self._back:
                self._forward()
            if self._back:
                self._backward()
        except Fenced:
            log.warning("operation %s was taken over by another process", self.id)
        except _Set_aside:
            pass

    def _forward(self) -> None:
        steps = self._flow.steps
        while self._step < len(steps):
            step = steps[self._step]
            try:
                self.check()
                result = step.do(self)
            except Fenced:
                raise
            except Exception as problem:
                self._failed(problem)
                return
            if isinstance(result, After):
                self._park(result.operation)
            self.results[step.name] = dict(result) if result else {}
            self._step, self._attempts = self._step + 1, 0
            with self._database.write() as tx:
                if self._step == len(steps):
                    self._end(tx, State.DONE)
                else:
                    journal.write(tx, self.id, self.epoch, step=self._step, results=self.results, attempts=0)

    def _backward(self) -> None:
        while self._step >= 0:
            step = self._flow.steps[self._step]
            if step.undo is not None:
                try:
                    step.undo(self)
                except Fenced:
                    raise
                except Exception as problem:
                    log.warning("undoing step %s of operation %s failed: %s", step.name, self.id, problem)
                    self._pause()
            self._step, self._attempts = self._step - 1, 0
            with self._database.write() as tx:
                if self._step < 0:
                    self._end(tx, State.UNDONE)
                else:
                    journal.write(tx, self.id, self.epoch, step=self._step, attempts=0)

    def _end(self, tx: Transaction, state: State) -> None:
        journal.end(tx, self.id, self.epoch, state, step=max(self._step, 0), results=self.results)
        self._settle(tx)

    def _settle(self, tx: Transaction) -> None:
        row = journal.get(tx, self.id)
        if self._flow.settle is not None and row is not None:
            self._flow.settle(tx, row)

    def _failed(self, problem: Exception) -> None:
        """Try again later what may work then; turn back from the rest, if that is allowed; never drop it."""
        known = problem if isinstance(problem, Problem) else Problem()
        if not isinstance(problem, Problem):
            log.exception("step %s of operation %s failed", self._flow.steps[self._step].name, self.id)
        turnable = self._flow.turning_back_allowed(self._step)
        transient = known.status == 503 and self._attempts < self._flow.retries
        self.error = known
        if transient or not turnable:
            self._pause()
        self._back, self._attempts = True, 0
        with self._database.write() as tx:
            journal.write(
                tx,
                self.id,
                self.epoch,
                back=True,
                step=self._step,
                attempts=0,
                error=known.sentence,
                error_code=known.code,
                error_status=known.status,
            )
            self._settle(tx)

    def _pause(self) -> None:
        """Give the operation back to the queue for a while that doubles each time."""
        wait = min(FIRST_PAUSE_S * 2**self._attempts, LONGEST_PAUSE_S)
        error = (
            {"error": self.error.sentence, "error_code": self.error.code, "error_status": self.error.status}
            if self.error
            else {}
        )
        with self._database.write() as tx:
            journal.write(
                tx,
                self.id,
                self.epoch,
                state=State.QUEUED,
                owner=None,
                lease_until=None,
                attempts=self._attempts + 1,
                not_before=tx.now + int(wait * SECOND),
                **error,
            )
        raise _Set_aside

    def _park(self, other: str) -> None:
        """Wait, without a thread, until operation `other` is over; if it already is, go on at once."""
        with self._database.write() as tx:
            row = journal.get(tx, other)
            waiting = row is not None and row["state"] not in (State.DONE, State.UNDONE)
            state, waits_for = (State.PARKED, other) if waiting else (State.QUEUED, None)
            journal.write(
                tx,
                self.id,
                self.epoch,
                state=state,
                waits_for=waits_for,
                owner=None,
                lease_until=None,
                results=self.results,
            )
            if not waiting:
                tx.notify(journal.BEGUN, "")
        raise _Set_aside


class _Set_aside(BaseException):
    """The operation is in the queue again, or parked: this run of it is over."""
