"""
Claims: who works on what.

A process claims operations that nobody works on, oldest first, one at a time for each resource in the whole cloud, and
keeps them by renewing their leases. What a dead process had is released at once; what a silent one had, when its leases
have lapsed.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Update,
    and_,
    bindparam,
    exists,
    literal_column,
    or_,
    select,
    text,
    tuple_,
    update,
)

from moorage.database import Transaction
from moorage.database.among import either
from moorage.database.fixed import Fixed
from moorage.operations.journal import BEGUN, CLAIMING, SECOND
from moorage.operations.records import OPEN, UNDERWAY, State, operations

_ALONE = text(f"SELECT pg_advisory_xact_lock({CLAIMING})")

_o, _other = operations.alias("o"), operations.alias("other")
_now: ColumnElement[int] = bindparam("now", type_=operations.c.lease_until.type)


def _free(table: Any) -> ColumnElement[bool]:
    """Nobody works on it, and somebody may."""
    queued = and_(table.c.state == State.QUEUED, table.c.not_before <= _now)
    return or_(queued, and_(table.c.state == State.RUNNING, table.c.lease_until < _now))


#: Somebody works on the same resource, or is to do so first. (A parked operation lets others pass: it may wait for
#: them.)
_taken = exists(
    select(literal_column("1"))
    .select_from(_other)
    .where(
        _other.c.resource_kind == _o.c.resource_kind,
        _other.c.resource_id == _o.c.resource_id,
        either(_other.c.state, (State.QUEUED, State.RUNNING)),
        _other.c.id != _o.c.id,
        or_(
            and_(_other.c.state == State.RUNNING, _other.c.lease_until >= _now),
            _other.c.created_at < _o.c.created_at,
            and_(_other.c.created_at == _o.c.created_at, _other.c.id < _o.c.id),
        ),
    )
    .correlate(_o)
)


def _claimable(busy: bool) -> Select[Any]:
    """The ids of what may be claimed from one queue, oldest first."""
    query = select(_o.c.id).where(_o.c.queue == bindparam("the_queue"), text(f"o.{UNDERWAY}"), _free(_o), ~_taken)
    if busy:
        query = query.where(tuple_(_o.c.resource_kind, _o.c.resource_id).not_in(bindparam("the_busy", expanding=True)))
    return query.order_by(_o.c.created_at, _o.c.id).limit(bindparam("the_room", type_=operations.c.step.type))


@lru_cache
def _claim(busy: bool, locks_rows: bool) -> Update:
    chosen = _claimable(busy)
    found = (chosen.with_for_update(of=_o, skip_locked=True) if locks_rows else chosen).cte("found")
    return (
        update(operations)
        .where(operations.c.id.in_(select(found.c.id)))
        .values(
            state=State.RUNNING,
            owner=bindparam("new_owner"),
            epoch=operations.c.epoch + 1,
            lease_until=bindparam("new_lease"),
            updated_at=_now,
        )
        .returning(operations)
    )


_ANYTHING = Fixed(_claimable(busy=False))


def claim(
    tx: Transaction,
    owner: str,
    queues: Sequence[str],
    lease_s: float,
    limit: int,
    busy: Collection[tuple[str, str]] = (),
) -> list[Mapping[str, Any]]:
    """
    Make `owner` the owner of up to `limit` operations of `queues` that nobody works on: queued ones whose time has
    come, and running ones whose lease has lapsed; none on the resources in `busy` (kind and id). Claims of several
    processes take turns.
    """
    postgresql = tx.dialect == "postgresql"
    if postgresql:
        tx.value(_ALONE)
    claimed: list[Mapping[str, Any]] = []
    values: dict[str, Any] = {"now": tx.now, "new_owner": owner, "new_lease": tx.now + int(lease_s * SECOND)}
    if busy:
        values["the_busy"] = list(busy)
    for queue in queues:
        if len(claimed) < limit:
            room = {"the_queue": queue, "the_room": limit - len(claimed)}
            rows = tx.all(_claim(bool(busy), postgresql), {**values, **room})
            claimed += sorted(rows, key=lambda row: (row["created_at"], row["id"]))
    return claimed


def anything(tx: Transaction, queues: Collection[str]) -> list[str]:
    """Which of `queues` hold something to claim: a look that costs no write transaction."""
    return [
        queue for queue in queues if tx.value(_ANYTHING, {"the_queue": queue, "now": tx.now, "the_room": 1}) is not None
    ]


def renew(tx: Transaction, owner: str, lease_s: float, ids: Collection[str]) -> None:
    """Give those of the operations `ids` that `owner` still owns a full lease from now."""
    c = operations.c
    if ids:
        mine = update(operations).where(c.id.in_(list(ids)), c.owner == owner, c.state == State.RUNNING)
        tx.run(mine.values(lease_until=tx.now + int(lease_s * SECOND)))


def release(tx: Transaction, owners: Collection[str], apart_from: Collection[str] = ()) -> int:
    """
    Let the leases of all that `owners` own lapse now, but for the operations in `apart_from`; how many there were.
    """
    c = operations.c
    theirs = update(operations).where(
        text(f"operations.{UNDERWAY}"), c.state == State.RUNNING, c.owner.in_(list(owners))
    )
    if apart_from:
        theirs = theirs.where(c.id.not_in(list(apart_from)))
    released = tx.run(theirs.values(lease_until=0))
    if released:
        tx.notify(BEGUN, "")
    return released


def wake_overdue(tx: Transaction) -> int:
    """
    Queue what is parked although its own deadline is over or nothing is left that it waits for; how many there were.
    """
    c = operations.c
    waited = select(_other.c.id).where(_other.c.id == c.waits_for, _other.c.state.in_(OPEN)).correlate(operations)
    parked = update(operations).where(c.waits_for.is_not(None), c.state == State.PARKED)
    overdue = parked.where(or_(and_(c.deadline < tx.now, c.back.is_(False)), ~exists(waited)))
    woken = tx.run(overdue.values(state=State.QUEUED, waits_for=None, not_before=0, updated_at=tx.now))
    if woken:
        tx.notify(BEGUN, "")
    return woken


def put_off(tx: Transaction, by_us: int) -> None:
    """Put the deadlines of all open operations off: time in which no control plane was alive counts against none."""
    c = operations.c
    tx.run(update(operations).where(c.state.in_(OPEN)).values(deadline=c.deadline + by_us))
