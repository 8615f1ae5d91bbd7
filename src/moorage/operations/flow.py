"""
Flows: what we do, as a table of steps with their undo.

A step may run twice (its owner may die between doing it and writing that down) and a step that failed is undone too (it
may have half-happened).  What a step returns is JSON, kept in the journal under the step's name.  A step that cannot be
undone without loss is `forward_only`: once it has begun, the flow is retried until it succeeds, and never turned back.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from moorage.core.errors import Problem
from moorage.database import Transaction


@dataclass(frozen=True)
class After:
    """
    What a step returns that cannot go on before another operation is over: the flow is parked, then the step runs
    again; with `unless_hindered` it does so, too, as soon as that one has failed and waits for its next try.
    """

    operation: str
    unless_hindered: bool = False


class Cancelled(Problem):
    """The operation was cancelled."""

    status, code = 409, "operation.cancelled"


class Overdue(Problem):
    """The operation did not end in time and was undone."""

    status, code = 504, "operation.overdue"


class Work(Protocol):
    """One operation, as its steps see it."""

    @property
    def id(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def tag(self) -> str:
        """`<operation>-<epoch>`: a name that no other run of any step has used."""

    @property
    def resource_id(self) -> str: ...
    @property
    def project_id(self) -> str | None: ...
    @property
    def input(self) -> Mapping[str, Any]: ...
    @property
    def results(self) -> Mapping[str, Any]:
        """
        What the steps before this one returned, by name. In an undo: of all steps that were done, this one included.
        """

    @property
    def error(self) -> Problem | None:
        """Why it is being undone."""

    @property
    def rooms(self) -> Any:
        """What the process was built of."""

    @property
    def stopping(self) -> bool:
        """Whether this process is about to end: a long step that can be gone on with gives up then."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """A write transaction that fails, changing nothing, if somebody else has taken the operation over."""

    def check(self) -> None:
        """Raise `Cancelled` or `Overdue` where that applies; long steps call it between chunks."""


Do = Callable[[Work], Mapping[str, Any] | After | None]
Undo = Callable[[Work], None]
Settle = Callable[[Transaction, Mapping[str, Any]], None]


@dataclass(frozen=True)
class Step:
    """One step: what it does, and what takes it back (nothing, where there is nothing to take back)."""

    name: str
    do: Do
    undo: Undo | None = None
    forward_only: bool = False


@dataclass(frozen=True)
class Flow:
    """
    A kind of operation. `settle` is called in the transaction that ends it, done or undone, with the operation's row,
    and in the one that turns it back: what is derived from operations (a volume's status) is evaluated there. `record`
    is called before it in the transaction that ends it done: what the steps made becomes the rows', at no transaction
    of its own. Killed before that transaction, the last step runs again; a `Problem` of `record` turns the flow back.
    """

    kind: str
    steps: tuple[Step, ...]
    settle: Settle | None = None
    record: Settle | None = None
    deadline_s: float = 3600.0
    cancellable: bool = False  #: whoever may change its resource may cancel it, and be left with what was before
    instead: str = ""  #: what to do with one that is not cancellable; names of its input stand in braces, and {id}
    retries: int = 3  #: how often a step that failed for want of an answer is tried again before the flow turns back

    def turning_back_allowed(self, step: int) -> bool:
        """Whether the flow may still be undone when step number `step` has begun."""
        return not any(s.forward_only for s in self.steps[: step + 1])


@dataclass
class Flows:
    """The visible list of all kinds."""

    kinds: dict[str, Flow] = field(default_factory=dict)

    @classmethod
    def of(cls, flows: Iterable[Flow]) -> "Flows":
        """The list of these flows; two of one kind are a programming error."""
        kinds: dict[str, Flow] = {}
        for flow in flows:
            if flow.kind in kinds:
                raise AssertionError(f"two flows are called {flow.kind}")
            kinds[flow.kind] = flow
        return cls(kinds)

    def __getitem__(self, kind: str) -> Flow:
        return self.kinds[kind]

    def __contains__(self, kind: object) -> bool:
        return kind in self.kinds
