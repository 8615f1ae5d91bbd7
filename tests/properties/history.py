"""
What was called, when, and what was answered: the raw material of the checker.

Times are ticks of one counter, not of a clock: of two calls the one that ended before the other began has the smaller
ticks, and nothing more is said.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Call:
    """One call about one volume. Until it is settled, work that its answer did not wait for may go on."""

    number: int
    verb: str
    asked: Mapping[str, Any]
    began: int
    ended: int | None = None
    settled: int | None = None
    code: int | None = None
    seen: Mapping[str, Any] = field(default_factory=dict)  #: what the answer said

    def __str__(self) -> str:
        ended, asked = ("never" if self.ended is None else str(self.ended)), dict(self.asked)
        return f"#{self.number} [{self.began}..{ended}] {self.verb} {asked} -> {self.code} {dict(self.seen)}"


class History:
    """The calls about one volume; may be added to from many threads."""

    def __init__(self, tick: Callable[[], int] | None = None) -> None:
        self.tick = tick or itertools.count(1).__next__
        self.calls: list[Call] = []

    def perform(self, verb: str, asked: Mapping[str, Any], send: Callable[[], tuple[int, Mapping[str, Any]]]) -> Call:
        """Have `send` make the call, and write down what it was answered."""
        began = self.tick()
        call = Call(began, verb, asked, began)
        self.calls.append(call)
        call.code, call.seen = send()
        call.ended = self.tick()
        return call

    def settle(self) -> None:
        """Nothing of what was called so far goes on any more."""
        now = self.tick()
        for call in self.calls:
            call.settled = call.settled or now
