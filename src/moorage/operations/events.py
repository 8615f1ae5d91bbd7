"""
Events: each committed change, in the order of the commits.

An event is written as its transaction's last statement; on PostgreSQL under a lock that lasts until the commit, so that
ids follow the order of commits and a reader who goes on from the last id that he has seen misses none. Events are
forgotten from the oldest on, and up to which one is kept: whoever comes too late to read on is told so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select, text, update

from moorage.core.errors import Problem
from moorage.database import Transaction
from moorage.database.fixed import Fixed
from moorage.operations.records import event_floor, events

#: Topic of `Database.listen`: events of this process were committed.
RECORDED = "event-recorded"

_ORDER = text("SELECT pg_advisory_xact_lock(7305808869230500179)")
_RECORD = Fixed(insert(events))
_NEWEST = Fixed(select(func.max(events.c.id)))
_FLOOR = Fixed(select(event_floor.c.forgotten))


class Forgotten(Problem):
    """
    Events up to number {up_to} are forgotten, so that you would miss some: read anew what there is, then go on from the
    newest event.
    """

    status, code = 410, "event.forgotten"


class NotYet(Problem):
    """There is no event number {id} yet; the newest is number {newest}."""

    status, code = 400, "event.not-yet"


@dataclass(frozen=True)
class Wanted:
    """Which events somebody asks for, and may see."""

    project_id: str | None = None  #: of this project only
    kind: str | None = None  #: of resources of this kind only
    resource_id: str | None = None
    what: str | None = None  #: such as "volume.created"

    def covers(self, event: Mapping[str, Any]) -> bool:
        """Whether `event` is one of them."""
        return all(event[column] == value for column, value in self._asked())

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same, as a query's conditions."""
        return [events.c[column] == value for column, value in self._asked()]

    def _asked(self) -> list[tuple[str, str]]:
        named = (
            ("project_id", self.project_id),
            ("resource_kind", self.kind),
            ("resource_id", self.resource_id),
            ("what", self.what),
        )
        return [(column, value) for column, value in named if value is not None]


ALL = Wanted()


def record(
    tx: Transaction, what: str, kind: str, id: str, project_id: str | None, request_id: str = "", **facts: Any
) -> None:
    """Let it be known, once `tx` is committed, that `what` happened to resource `id`. `facts` hold no secrets."""
    # fmt: off
    values = {
        "at": tx.now, "what": what, "resource_kind": kind, "resource_id": id, "project_id": project_id,
        "request_id": request_id, "facts": facts,
    }
    # fmt: on

    def write(tx: Transaction) -> None:
        if tx.dialect == "postgresql":
            tx.value(_ORDER)
        tx.run(_RECORD, values)

    tx.before_commit(write, last=True)
    tx.notify(RECORDED, kind)


def since(tx: Transaction, id: int, limit: int = 1000, wanted: Wanted = ALL) -> Sequence[Mapping[str, Any]]:
    """
    The wanted events after number `id`, oldest first: whoever goes on from the last one that he has seen misses none.
    """
    query = select(events).where(events.c.id > id, *wanted.conditions())
    return tx.all(query.order_by(events.c.id).limit(limit))


def latest(tx: Transaction, limit: int, wanted: Wanted = ALL) -> Sequence[Mapping[str, Any]]:
    """The last `limit` of the wanted events, oldest first."""
    query = select(events).where(*wanted.conditions()).order_by(events.c.id.desc()).limit(limit)
    return tx.all(query)[::-1]


def newest(tx: Transaction) -> int:
    """The number of the newest event; where all are forgotten, of the newest of those."""
    return int(tx.value(_NEWEST) or forgotten(tx))


def forgotten(tx: Transaction) -> int:
    """Up to which number events are forgotten."""
    return int(tx.value(_FLOOR) or 0)


def may_resume(tx: Transaction, id: int) -> None:
    """Raise `Forgotten` where an event after number `id` is no longer there, `NotYet` where `id` is of the future."""
    floor, last = forgotten(tx), newest(tx)
    if id < floor:
        raise Forgotten(up_to=floor)
    if id > last:
        raise NotYet(id=id, newest=last)


def forget(tx: Transaction, before: int, limit: int = 1000) -> int:
    """Drop up to `limit` of the oldest events, as far as they are from before `before`; how many there were."""
    oldest = tx.all(select(events.c.id, events.c.at).order_by(events.c.id).limit(limit))
    kept = next((n for n, event in enumerate(oldest) if event["at"] >= before), len(oldest))
    if not kept:
        return 0
    up_to = oldest[kept - 1]["id"]
    tx.run(update(event_floor).where(event_floor.c.forgotten < up_to).values(forgotten=up_to))
    return tx.run(delete(events).where(events.c.id <= up_to))
