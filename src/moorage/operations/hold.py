"""
Operations that a request carries out itself, such as one that receives an upload: the bytes come to this process, no
other can do it.

The verb begins the operation with `owner=runner.me.id`; `Held` keeps its lease, writes its steps down and ends it.
Should the request fail, the runner undoes it; should the process die, another one takes the operation over, and its
first step that a runner runs fails, so that everything is undone. The flow of such a kind is therefore a table of
undos:

    Flow("upload-image", (received("receive", undo=discard), received("record", undo=forget)))
"""

import contextlib
import logging
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NoReturn

from moorage.core.errors import Problem
from moorage.database import Transaction
from moorage.operations import journal
from moorage.operations.flow import Cancelled, Overdue, Step, Undo, Work
from moorage.operations.journal import Fenced
from moorage.operations.records import State
from moorage.operations.runner import Runner
from moorage.operations.work import LOOK_S, known

log = logging.getLogger(__name__)


class Abandoned(Problem):
    """The request that did this ended before it was done; it was undone."""

    status, code = 500, "operation.abandoned"


def abandoned(work: Work) -> NoReturn:
    """What a step does when a runner comes to it that only a request can do: fail, so that it is undone."""
    raise Abandoned()


def received(name: str, undo: Undo | None = None) -> Step:
    """A step of a flow that requests carry out."""
    return Step(name, abandoned, undo)


class Held:
    """
    An operation that this request carries out: `with Held(runner, id) as held`. A block that raises, or ends without
    `finish`, has the operation undone. Every change is made under its epoch and raises `Fenced` once another process
    has taken it over; then nothing more may be done for it, and what was done is undone by the other.
    """

    def __init__(self, runner: Runner, id: str, epoch: int = 1) -> None:
        self._runner, self._database, self.id, self.epoch = runner, runner.database, id, epoch
        self._step, self._results, self._over = 0, dict[str, Any](), False
        self._looked = time.monotonic()

    @property
    def tag(self) -> str:
        """`<operation>-<epoch>`: a name that nothing else has used."""
        return f"{self.id}-{self.epoch}"

    def __enter__(self) -> "Held":
        self._runner.keep(self.id)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self._over:
                self.fail(problem or Abandoned())
        except Exception:
            log.exception("operation %s is undone when its lease is over", self.id)
        finally:
            self._runner.no_longer_keep(self.id)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A write transaction that fails, changing nothing, if another process has taken the operation over."""
        with self._database.write() as tx:
            journal.write(tx, self.id, self.epoch)
            yield tx

    def check(self) -> None:
        """
        Raise `Cancelled`, `Overdue` or `Fenced` where that applies; called between chunks, it looks twice a second.
        """
        if time.monotonic() - self._looked < LOOK_S:
            return
        self._looked = time.monotonic()
        with self._database.read() as tx:
            row = journal.get(tx, self.id)
            if row is None or row["epoch"] != self.epoch or row["state"] != State.RUNNING:
                raise Fenced(operation=self.id)
            if row["cancel"]:
                raise Cancelled()
            if row["deadline"] < tx.now:
                raise Overdue()

    def advance(self, tx: Transaction, **result: Any) -> None:
        """
        Write down in `tx`, with the caller's changes, that the step at hand is done; `result` is what its undo will
        see.
        """
        steps = self._flow(tx).steps
        results = {**self._results, steps[self._step].name: result}
        journal.write(tx, self.id, self.epoch, step=self._step + 1, results=results)
        tx.after_commit(lambda: self._advanced(results))

    def finish(self, tx: Transaction, **result: Any) -> None:
        """
        Write down in `tx`, with the caller's changes, that the step at hand was the last and the operation is done.
        """
        flow = self._flow(tx)
        last = min(self._step, len(flow.steps) - 1)
        results = {**self._results, flow.steps[last].name: result}
        row = journal.end(tx, self.id, self.epoch, State.DONE, step=last, results=results)
        if flow.settle is not None:
            flow.settle(tx, row)
        tx.after_commit(self._ended)

    def fail(self, problem: BaseException) -> None:
        """Turn the operation back for `problem`, and leave the undoing to whichever runner comes first."""
        self._database.transact(lambda tx: self._turn_back(tx, known(problem)))
        self._ended()

    def _turn_back(self, tx: Transaction, cause: Problem) -> None:
        flow = self._flow(tx)
        reason: dict[str, Any] = {"error": cause.sentence, "error_code": cause.code, "error_status": cause.status}
        step = min(self._step, len(flow.steps) - 1)
        row = journal.let_go(tx, self.id, self.epoch, back=True, step=step, attempts=0, **reason)
        if flow.settle is not None:
            flow.settle(tx, row)

    def _flow(self, tx: Transaction) -> Any:
        row = journal.get(tx, self.id)
        if row is None:
            raise Fenced(operation=self.id)
        return self._runner.flows[row["kind"]]

    def _advanced(self, results: dict[str, Any]) -> None:
        self._step, self._results = self._step + 1, results

    def _ended(self) -> None:
        self._over = True
