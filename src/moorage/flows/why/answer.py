"""The answer to why: what is said of a resource of any kind, and what the kinds share in finding it out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Table, select

from moorage.core.caller import Caller
from moorage.core.errors import NotFound
from moorage.database import Transaction
from moorage.flows.why.doing import sentence_of, step_of, waiting_for
from moorage.operations.records import events

MOST = 100  #: who is in the way, by name; more are counted


class NothingOfThatKind(NotFound):
    """There is no {kind} {id}."""

    code = "why.not-found"


@dataclass(frozen=True)
class Part:
    """Something that has to do with it: whoever is in the way, or waits."""

    kind: str
    id: str
    sentence: str


@dataclass(frozen=True)
class Owner(Part):
    """The operation that has it. Times are the database's; None where there is no such time."""

    what: str  #: the kind of operation
    state: str
    step: str
    going_back: bool
    failures: int  #: of the step at hand
    tried_again_at: int | None  #: when the step that failed is tried again
    lease_until: int | None  #: when another process takes it over, were its own one dead
    deadline: int | None  #: when it is turned back, if it can be


@dataclass
class Why:
    """The answer. Times are the database's."""

    kind: str
    id: str
    state: str
    since: int
    sentence: str
    next: str = "Nothing, until somebody asks for something."
    operation: Owner | None = None
    blockers: list[Part] = field(default_factory=list)
    waiting: list[Part] = field(default_factory=list)  #: who waits for it, in the order in which they get it
    you_may: list[str] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        """The answer as JSON, but for its times."""
        return asdict(self)


def seen(tx: Transaction, caller: Caller, table: Table, owner: str, kind: str, id: str) -> Mapping[str, Any]:
    """The resource's row, if the caller may know of it."""
    row = tx.one(select(table).where(table.c.id == id))
    if row is None or not caller.sees(row[owner]):
        raise NothingOfThatKind(kind=kind, id=id[:64])
    found: Mapping[str, Any] = row
    return found


def since(tx: Transaction, kind: str, row: Mapping[str, Any], changes: Collection[str]) -> int:
    """When it last changed its state: the time of the last event of which the kind says that it is such a change."""
    c = events.c
    query = select(c.at).where(c.resource_kind == kind, c.resource_id == row["id"], c.what.in_(changes))
    at = tx.value(query.order_by(c.id.desc()).limit(1))
    return int(at or row["created_at"])


def own(tx: Transaction, answer: Why, caller: Caller, under_way: Sequence[Mapping[str, Any]]) -> None:
    """Say which operation has it; others that wait behind that one are in the way of what is asked next."""
    for operation in under_way:
        if not caller.sees(operation["project_id"]):
            continue
        if answer.operation is None:
            answer.operation = owner(tx, operation)
            answer.next = waiting_for(tx, operation)
        else:
            answer.blockers.append(part(tx, operation))


def owner(tx: Transaction, row: Mapping[str, Any]) -> Owner:
    """The operation as the owner of something."""
    again = row["not_before"] if row["state"] == "queued" and row["not_before"] > tx.now else None
    return Owner(
        kind="operation",
        id=row["id"],
        sentence=f"{row['kind']}: {sentence_of(tx, row)}",
        what=row["kind"],
        state=row["state"],
        step=step_of(row),
        going_back=row["back"],
        failures=row["attempts"],
        tried_again_at=again,
        lease_until=row["lease_until"],
        deadline=row["deadline"],
    )


def part(tx: Transaction, row: Mapping[str, Any]) -> Part:
    """The operation as something that is in the way."""
    return Part("operation", row["id"], f"{row['kind']}: {sentence_of(tx, row)}")
