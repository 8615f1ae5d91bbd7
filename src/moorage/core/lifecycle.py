"""
Lifecycles: which state may follow which, as a table of moves.

A move that the table does not list is refused.  The tables are printed in the documentation and turned into conditional
updates (`UPDATE ... WHERE state IN (sources)`) by the rooms that keep the rows.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from moorage.core.errors import Conflict


class MoveRefused(Conflict):
    """{kind} {id} is {state}; it cannot {event}."""

    code = "move-refused"


@dataclass(frozen=True)
class Move:
    """One row of a lifecycle: `event` leads from any of `sources` to `target`."""

    event: str
    sources: frozenset[StrEnum]
    target: StrEnum


class Lifecycle:
    """All moves of one kind of record."""

    def __init__(self, moves: Iterable[Move]) -> None:
        self._moves = {move.event: move for move in moves}

    def __getitem__(self, event: str) -> Move:
        return self._moves[event]

    def __iter__(self) -> Iterator[Move]:
        return iter(self._moves.values())

    def allows(self, event: str, state: StrEnum | str) -> bool:
        """Whether `event` may happen in `state`."""
        return state in self._moves[event].sources


def lifecycle(*rows: tuple[str, Collection[StrEnum], StrEnum]) -> Lifecycle:
    """The lifecycle that the rows describe: event, states it may come from, state it leads to."""
    return Lifecycle(Move(event, frozenset(sources), target) for event, sources, target in rows)
