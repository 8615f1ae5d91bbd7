"""
Whether some order explains a history: every call takes effect in it between its beginning and its answer.

A call takes effect in one step, or in several where work is done for it: its volume is seen in between.  So the search
is that of Wing and Gong over the steps of calls: from each state reached, try each step that may come next, and never
try the same rest of the history from the same state twice.  What comes out are all states in which it may have ended.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

from tests.properties.history import Call


class State(Protocol):
    """What a model has at one moment; can be compared and hashed."""

    @property
    def status(self) -> str: ...

    @property
    def settled(self) -> Self: ...


S = TypeVar("S", bound=State)
Effect = Callable[[S], Iterable[S]]


@dataclass(frozen=True)
class Step(Generic[S]):
    """What a call does at one moment: the states that may follow; none where it cannot have happened then."""

    name: str
    effect: Effect[S]
    late: bool = False  #: it may come after the answer


Plan = tuple[Step[S], ...]
Place = tuple[int, int]  #: which plan a call follows, and how many of its steps were made
UNBEGUN: Place = (-1, 0)


class Unexplained(AssertionError):
    """No order of the calls leads to what was answered."""


class Search(Generic[S]):
    """One search. `plans` says which ways a call may have gone that was answered as it was."""

    def __init__(self, calls: Sequence[Call], plans: Callable[[Call], Sequence[Plan[S]]]) -> None:
        self._calls = calls
        self._plans = [plans(call) for call in calls]
        self._answered_before = self._before(lambda call: call.ended)
        self._settled_before = self._before(lambda call: call.settled)
        self.furthest: tuple[int, tuple[Place, ...], S] | None = None

    def _before(self, moment: Callable[[Call], int | None]) -> list[list[int]]:
        ends = [moment(call) for call in self._calls]
        return [[n for n, end in enumerate(ends) if end is not None and end < call.began] for call in self._calls]

    def ends(self, starts: Iterable[S]) -> set[S]:
        """Every state in which the history may have ended that began in one of `starts`."""
        first = (UNBEGUN,) * len(self._calls)
        stack = [(first, start) for start in starts]
        seen = set(stack)
        found: set[S] = set()
        while stack:
            places, state = stack.pop()
            self._note(places, state)
            if all(self._over(n, place, late=True) for n, place in enumerate(places)):
                found.add(state.settled)
            for follower in self._next(places, state):
                if follower not in seen:
                    seen.add(follower)
                    stack.append(follower)
        return found

    def _note(self, places: tuple[Place, ...], state: S) -> None:
        made = sum(step for _, step in places)
        if self.furthest is None or made > self.furthest[0]:
            self.furthest = (made, places, state)

    def _over(self, n: int, place: Place, *, late: bool) -> bool:
        plan, made = place
        return plan >= 0 and all(step.late and not late for step in self._plans[n][plan][made:])

    def _next(self, places: tuple[Place, ...], state: S) -> Iterable[tuple[tuple[Place, ...], S]]:
        for n, (plan, made) in enumerate(places):
            if plan < 0 and not self._may_begin(n, places):
                continue
            for chosen in range(len(self._plans[n])) if plan < 0 else [plan]:
                steps = self._plans[n][chosen]
                if made < len(steps):
                    for follower in steps[made].effect(state):
                        yield (*places[:n], (chosen, made + 1), *places[n + 1 :]), follower

    def _may_begin(self, n: int, places: tuple[Place, ...]) -> bool:
        answered = all(self._over(other, places[other], late=False) for other in self._answered_before[n])
        return answered and all(self._over(other, places[other], late=True) for other in self._settled_before[n])

    def report(self) -> str:
        """The history, and how far the longest explanation of it came."""
        lines = [str(call) for call in self._calls]
        if self.furthest is not None:
            _, places, state = self.furthest
            made = []
            for n, (plan, count) in enumerate(places):
                steps = self._plans[n][plan][:count] if plan >= 0 else ()
                of = f"/{len(self._plans[n][plan])}" if plan >= 0 else ""
                made.append(f"#{self._calls[n].number}: {', '.join(s.name for s in steps) or 'nothing'} ({count}{of})")
            lines += ["the longest explanation:", *made, f"ends in {state.status}: {state}"]
        return "\n".join(lines)


def explain(starts: Iterable[S], calls: Sequence[Call], plans: Callable[[Call], Sequence[Plan[S]]]) -> set[S]:
    """The states in which the history may have ended; raise `Unexplained` where there is none."""
    search = Search(sorted(calls, key=lambda call: call.began), plans)
    found = search.ends(starts)
    if not found:
        raise Unexplained(f"no order explains\n{search.report()}")
    return found
