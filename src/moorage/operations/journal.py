"""
The journal: operations as rows, every change of which names the epoch under which it is made.

A verb calls `begin` in the transaction of its own changes, and reads with `get`, `open_on`, `last_on`, `by_key`.
Everything else here is for the runner.  An owner that lost its operation (its lease lapsed and somebody claimed it, one
epoch higher) finds out at its next write: `Fenced`.

Operations come first in the order of locks, so a verb cancels before it locks anything else.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

from sqlalchemy import ColumnElement, bindparam, case, delete, select, text, update
from sqlalchemy.exc import IntegrityError

from moorage.core.caller import NOBODY, Caller
from moorage.core.errors import Conflict, Malformed, Problem
from moorage.core.ids import new_uuid
from moorage.database import Transaction
from moorage.database.among import among, either, several
from moorage.database.fixed import Fixed
from moorage.operations.flow import After
from moorage.operations.records import OPEN, OVER, State, operations

SECOND = 1_000_000

#: Topics of `Database.listen`: of a queue its name ("" for any), of an operation that is over its row, else its id.
BEGUN, ENDED, CANCELLED = "operation-begun", "operation-ended", "operation-cancelled"

#: The name under which a process offers its `Taker` to its transactions.
TAKER = "operation-taker"

#: The lock on PostgreSQL under which operations get an owner: no two of one resource at once.
CLAIMING = 7305808869230500180


class Taker(Protocol):
    """Who in this process carries operations out as soon as they are begun."""

    @property
    def owner(self) -> str: ...
    @property
    def lease_s(self) -> float: ...
    def takes(self, kind: str, queue: str, resource_kind: str, resource_id: str) -> bool:
        """Whether it would begin with such an operation at once."""

    def take_up(self, row: Mapping[str, Any]) -> None:
        """Carry out the operation that it owns now."""


class Fenced(Problem):
    """Operation {operation} has been taken over by another process."""

    status, code = 409, "operation.fenced"


class KeyTaken(Conflict):
    """Another request with the same Moorage-Key came at the same time; repeat the call to find what it began."""

    code = "operation.key-taken"


class Stored(Problem):
    """{sentence}"""

    code = "operation.failed"

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Stored | None":
        """The failure for which the operation was turned back, as it was raised; None where it was not."""
        if row["error"] is None:
            return None
        problem = cls(sentence=row["error"])
        problem.status, problem.code = row["error_status"], row["error_code"]  # type: ignore[misc]
        return problem


# Statements are made once: building one costs more than running it.
c = operations.c
_NEXT = Fixed(
    select(c.queue).where(
        c.resource_kind == bindparam("kind"), c.resource_id == bindparam("resource"), c.state == State.QUEUED
    )
)
_WAKE = Fixed(
    update(operations)
    .where(c.waits_for == bindparam("over"), c.state == State.PARKED)
    .values(state=State.QUEUED, waits_for=None, not_before=0, updated_at=bindparam("now"))
    .returning(c.queue)
)

_ROUSE = Fixed(
    update(operations)
    .where(c.id == bindparam("the_id"), c.waits_for == bindparam("the_id"), c.state == State.PARKED)
    .values(state=State.QUEUED, waits_for=None, not_before=0, updated_at=bindparam("now"))
    .returning(c.queue)
)


def begin(
    tx: Transaction,
    kind: str,
    resource_kind: str,
    resource_id: str,
    *,
    queue: str,
    project_id: str | None,
    input: Mapping[str, Any] | None = None,
    caller: Caller = NOBODY,
    deadline_s: float = 3600.0,
    owner: str | None = None,
    lease_s: float = 10.0,
    key: str | None = None,
    id: str | None = None,
    asleep: bool = False,
) -> str:
    """
    Commit the operation together with the caller's changes; its id. With `owner`, the id of this process
    (`Runner.me.id`), it starts out as running, for a request that carries it out itself: see `hold`. So does one that
    this process can take up at once: it begins when `tx` is committed. A `key` that the project has used before raises
    `KeyTaken`, so ask `by_key` first. One that begins `asleep` waits for itself: until it is roused, cancelled or
    overdue. What is under way on the resource comes first, whoever of its callers began to ask first: who had to wait
    for the resource's lock began earlier than whom he waited for.
    """
    if key is not None and project_id is None:
        raise Malformed(reason="Moorage-Key needs a token with a project.")
    id = id or new_uuid()
    taker = None if owner or asleep else _taker(tx, kind, queue, resource_kind, resource_id)
    before = open_on(tx, resource_kind, [resource_id])
    if before:
        taker = None
    if taker is not None:
        owner, lease_s = taker.owner, taker.lease_s
    # fmt: off
    values = {
        "id": id, "kind": kind, "queue": queue, "state": State.RUNNING if owner else State.QUEUED, "back": False,
        "input": dict(input or {}), "results": {}, "step": 0,
        "resource_kind": resource_kind, "resource_id": resource_id, "project_id": project_id,
        "user_id": caller.user_id, "request_id": caller.request_id, "owner": owner, "epoch": 1 if owner else 0,
        "lease_until": tx.now + int(lease_s * SECOND) if owner else None, "deadline": tx.now + int(deadline_s * SECOND),
        "not_before": 0, "attempts": 0, "cancel": False, "key": key, "updated_at": tx.now,
        "created_at": max((tx.now, *(row["created_at"] + 1 for row in before))),
    }
    # fmt: on
    if asleep:
        values |= {"state": State.PARKED, "waits_for": id}
    try:
        tx.enter(operations, values)
    except IntegrityError as problem:
        if key is None:
            raise
        raise KeyTaken() from problem
    if not owner and not asleep:
        tx.notify(BEGUN, queue)
    elif taker is not None:
        row = {**dict.fromkeys(c.keys()), **values, "input": json.loads(json.dumps(values["input"]))}
        tx.after_commit(lambda: taker.take_up(row))
    return id


_CLAIMS_ALONE = text(f"SELECT pg_try_advisory_xact_lock({CLAIMING})")


def _taker(tx: Transaction, kind: str, queue: str, resource_kind: str, resource_id: str) -> Taker | None:
    """
    Who owns a new operation from its first moment on, where nothing else is under way on the resource: this process, if
    it serves the queue. Killed before it has begun, it is succeeded like the owner of any claim.
    """
    taker: Taker | None = tx.here.get(TAKER)
    if taker is None or not taker.takes(kind, queue, resource_kind, resource_id):
        return None
    if tx.dialect == "postgresql" and not tx.value(_CLAIMS_ALONE):
        return None  # somebody claims at this moment, perhaps of the same resource
    return taker


def rouse(tx: Transaction, id: str) -> None:
    """Let operation `id` go on, if it sleeps."""
    for row in tx.all(_ROUSE, {"the_id": id, "now": tx.now}):
        tx.notify(BEGUN, row["queue"])


def get(tx: Transaction, id: str) -> Mapping[str, Any] | None:
    """The operation's row."""
    return tx.get(operations, id)


def by_key(tx: Transaction, project_id: str | None, key: str) -> Mapping[str, Any] | None:
    """The operation that an earlier request of this project with this `Moorage-Key` began."""
    return tx.one(select(operations).where(c.project_id == project_id, c.key == key))


_OF = (c.resource_kind == bindparam("resource"), either(c.state, OPEN))
_OPEN_ON = Fixed(select(operations).where(*_OF, among(c.resource_id, several("ids"))).order_by(c.created_at, c.id))
_OPEN_ON_ONE = Fixed(
    select(operations).where(*_OF, c.resource_id == bindparam("the_resource")).order_by(c.created_at, c.id)
)


def open_on(tx: Transaction, resource_kind: str, ids: Collection[str]) -> Sequence[Mapping[str, Any]]:
    """The operations on these resources that are not over, oldest first."""
    if len(ids) == 1:
        return tx.all(_OPEN_ON_ONE, {"resource": resource_kind, "the_resource": next(iter(ids))})
    return tx.all(_OPEN_ON, {"resource": resource_kind, "ids": list(ids)})


def last_on(tx: Transaction, resource_kind: str, id: str) -> Mapping[str, Any] | None:
    """The operation on this resource that ended last."""
    query = select(operations).where(c.resource_kind == resource_kind, c.resource_id == id, c.state.in_(OVER))
    return tx.one(query.order_by(c.ended_at.desc(), c.created_at.desc()).limit(1))


def cancel(tx: Transaction, id: str) -> None:
    """
    Ask the operation to turn back at its next step, or within a step that calls `check`; at once where it is parked or
    waits for another try. One that may not turn back any more goes on to its end.
    """
    tx.lock(operations, [id])
    asked = update(operations).where(c.id == id, c.state.in_(OPEN), c.back.is_(False))
    woken = case((c.state == State.PARKED, State.QUEUED.value), else_=c.state)
    if tx.run(asked.values(cancel=True, state=woken, waits_for=None, not_before=0, updated_at=tx.now)):
        tx.notify(CANCELLED, id)
        tx.notify(BEGUN, "")


@lru_cache(256)
def _change(columns: tuple[str, ...], whole: bool) -> Fixed:
    """The statement that sets these columns as the owner; it answers with the row, or with what may turn it back."""
    change = update(operations).where(
        c.id == bindparam("the_id"), c.epoch == bindparam("the_epoch"), c.state == State.RUNNING
    )
    change = change.values({column: bindparam(f"new_{column}", type_=c[column].type) for column in columns})
    return Fixed(change.returning(operations) if whole else change.returning(c.cancel, c.deadline))


def write(tx: Transaction, id: str, epoch: int, *, whole: bool = False, **values: Any) -> Mapping[str, Any]:
    """
    Change the operation's row as its owner of `epoch`; raise `Fenced` if he no longer is. Answers with `cancel` and
    `deadline`, or with the `whole` row.
    """
    new = {f"new_{column}": value for column, value in values.items()}
    fence = {"the_id": id, "the_epoch": epoch, "new_updated_at": tx.now}
    row = tx.one(_change((*values, "updated_at"), whole), {**new, **fence})
    if row is None:
        raise Fenced(operation=id)
    return row


def let_go(
    tx: Transaction, id: str, epoch: int, pause_s: float = 0.0, *, heed: bool = False, **values: Any
) -> Mapping[str, Any]:
    """
    Give the operation back to its queue, as its owner of `epoch`, for whoever comes after `pause_s`; at once, with
    `heed`, where it was cancelled meanwhile. Its row, as written.
    """
    free: dict[str, Any] = {"state": State.QUEUED, "owner": None, "lease_until": None, "waits_for": None}
    not_before = tx.now + int(pause_s * SECOND) if pause_s else 0
    row = write(tx, id, epoch, whole=True, **free, not_before=not_before, **values)
    if pause_s and heed and row["cancel"]:
        pause_s = 0.0
        tx.change(operations, id, {"not_before": 0})
    if not pause_s:
        tx.notify(BEGUN, row["queue"])
    return row


def park(tx: Transaction, id: str, epoch: int, after: After, *, heed: bool = False, **values: Any) -> bool:
    """
    Let the operation wait, without a thread, until another one is over; False, and nothing changed, where there is no
    reason to, or, with `heed`, where it was cancelled itself meanwhile. The other is locked: it ends, or is hindered,
    either before, which is seen here, or after, and then sees who waits for it. Whoever cancels later finds it parked.
    """
    query = select(c.state, c.attempts).where(c.id == after.operation)
    other = tx.one(query if tx.dialect == "sqlite" else query.with_for_update())
    if other is None or other["state"] in OVER:
        return False
    if after.unless_hindered and other["state"] == State.QUEUED and other["attempts"]:
        return False
    if write(tx, id, epoch)["cancel"] and heed:
        return False
    write(tx, id, epoch, state=State.PARKED, waits_for=after.operation, owner=None, lease_until=None, **values)
    return True


def end(tx: Transaction, id: str, epoch: int, state: State, **values: Any) -> Mapping[str, Any]:
    """End the operation as its owner of `epoch`, and wake what waits for it; its row."""
    row = write(tx, id, epoch, whole=True, state=state, owner=None, lease_until=None, ended_at=tx.now, **values)
    waiters = tx.all(_WAKE, {"over": id, "now": tx.now})
    following = tx.all(_NEXT, {"kind": row["resource_kind"], "resource": row["resource_id"]})
    for queue in {other["queue"] for other in (*waiters, *following)}:
        tx.notify(BEGUN, queue)
    tx.notify(ENDED, row)
    return row


def wake(tx: Transaction, id: str) -> None:
    """Let what waits for the operation look again whether it has to, although that is not over."""
    for queue in {other["queue"] for other in tx.all(_WAKE, {"over": id, "now": tx.now})}:
        tx.notify(BEGUN, queue)


def forget(tx: Transaction, before: int, limit: int = 1000) -> int:
    """Drop up to `limit` operations that ended before `before`; how many there were."""
    old = select(c.id).where(c.ended_at < before).order_by(c.ended_at).limit(limit)
    return tx.run(delete(operations).where(c.id.in_(old), c.state.in_(OVER)))


def is_open() -> ColumnElement[bool]:
    """The condition that an operation is not over, for queries of other rooms."""
    return c.state.in_(OPEN)
