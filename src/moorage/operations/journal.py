"""
The journal: operations as rows, every change of which names the epoch under which it is made.

A verb calls `begin` in the transaction of its own changes.  Everything else here is for the runner and for those who
want to know.  An owner that lost its operation (its lease lapsed and somebody claimed it, one epoch higher) finds out at
its next write: `Fenced`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, insert, or_, select, update

from moorage.core.caller import NOBODY, Caller
from moorage.core.errors import Problem
from moorage.core.ids import new_uuid
from moorage.database import Transaction
from moorage.operations.records import OPEN, OVER, State, operations, processes

SECOND = 1_000_000
BEGUN, ENDED = "operation-begun", "operation-ended"  #: topics of `Database.listen`: a queue's name, an operation's id


class Fenced(Problem):
    """Operation {operation} has been taken over by another process."""

    status, code = 409, "operation.fenced"


class Stored(Problem):
    """{sentence}"""

    code = "operation.failed"

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Stored | None":
        """The failure that the operation's row records, as it was raised."""
        if row["error"] is None:
            return None
        problem = cls(sentence=row["error"])
        problem.status, problem.code = row["error_status"], row["error_code"]  # type: ignore[misc]
        return problem


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
    lease_s: float = 0.0,
    key: str | None = None,
    id: str | None = None,
) -> str:
    """
    Commit the operation together with the caller's changes; its id. With `owner` it starts out as running, owned by that
    process (which then carries it out itself, as a request does that receives an upload).
    """
    id = id or new_uuid()
    tx.run(
        insert(operations).values(
            id=id,
            kind=kind,
            queue=queue,
            state=State.RUNNING if owner else State.QUEUED,
            back=False,
            input=dict(input or {}),
            results={},
            step=0,
            resource_kind=resource_kind,
            resource_id=resource_id,
            project_id=project_id,
            user_id=caller.user_id,
            request_id=caller.request_id,
            owner=owner,
            epoch=1 if owner else 0,
            lease_until=tx.now + int(lease_s * SECOND) if owner else None,
            deadline=tx.now + int(deadline_s * SECOND),
            not_before=0,
            attempts=0,
            cancel=False,
            key=key,
            created_at=tx.now,
            updated_at=tx.now,
        )
    )
    tx.notify(BEGUN, queue)
    return id


def get(tx: Transaction, id: str) -> Mapping[str, Any] | None:
    """The operation's row."""
    return tx.one(select(operations).where(operations.c.id == id))


def by_key(tx: Transaction, project_id: str | None, key: str) -> Mapping[str, Any] | None:
    """The operation that an earlier request with this `Moorage-Key` began."""
    return tx.one(select(operations).where(operations.c.project_id == project_id, operations.c.key == key))


def open_on(tx: Transaction, resource_kind: str, ids: Collection[str]) -> Sequence[Mapping[str, Any]]:
    """The operations on these resources that are not over, oldest first."""
    c = operations.c
    query = select(operations).where(c.resource_kind == resource_kind, c.resource_id.in_(ids), c.state.in_(OPEN))
    return tx.all(query.order_by(c.created_at, c.id))


def last_on(tx: Transaction, resource_kind: str, id: str) -> Mapping[str, Any] | None:
    """The operation on this resource that ended last."""
    c = operations.c
    query = select(operations).where(c.resource_kind == resource_kind, c.resource_id == id, c.state.in_(OVER))
    return tx.one(query.order_by(c.ended_at.desc()).limit(1))


def cancel(tx: Transaction, id: str) -> None:
    """Ask the operation to turn back at its next step, if it still can."""
    tx.run(
        update(operations)
        .where(operations.c.id == id, operations.c.state.in_(OPEN))
        .values(cancel=True, updated_at=tx.now)
    )


def claim(
    tx: Transaction,
    owner: str,
    queues: Collection[str],
    lease_s: float,
    limit: int,
    busy: Collection[str],
    dead: Collection[str],
) -> list[Mapping[str, Any]]:
    """
    Make `owner` the owner of up to `limit` operations that nobody works on: queued ones whose time has come, and running ones
    whose owner's lease has lapsed or who is in `dead`. Not of resources in `busy`, and the oldest one of each resource first.
    """
    c = operations.c
    query = select(operations).where(c.queue.in_(list(queues)), claimable(tx, dead)).order_by(c.created_at, c.id)
    if tx.dialect == "postgresql":
        query = query.with_for_update(skip_locked=True)
    claimed: list[Mapping[str, Any]] = []
    lanes = set(busy)
    for row in tx.all(query.limit(limit + 4 * len(lanes) + 64)):
        if len(claimed) == limit:
            break
        if row["resource_id"] in lanes:
            continue
        lanes.add(row["resource_id"])
        change = {
            "state": State.RUNNING,
            "owner": owner,
            "epoch": row["epoch"] + 1,
            "lease_until": tx.now + int(lease_s * SECOND),
            "updated_at": tx.now,
        }
        if tx.run(update(operations).where(c.id == row["id"], c.epoch == row["epoch"]).values(**change)):
            claimed.append({**row, **change})
    return claimed


def claimable(tx: Transaction, dead: Collection[str] = ()) -> ColumnElement[bool]:
    """The condition that nobody works on an operation, and somebody may."""
    c = operations.c
    orphaned = or_(c.lease_until < tx.now, c.owner.in_(list(dead))) if dead else c.lease_until < tx.now
    return or_(and_(c.state == State.QUEUED, c.not_before <= tx.now), and_(c.state == State.RUNNING, orphaned))


def write(tx: Transaction, id: str, epoch: int, **values: Any) -> None:
    """Change the operation's row as its owner of `epoch`; raise `Fenced` if he no longer is."""
    c = operations.c
    change = update(operations).where(c.id == id, c.epoch == epoch, c.state == State.RUNNING)
    if not tx.run(change.values(updated_at=tx.now, **values)):
        raise Fenced(operation=id)


def wake_waiters(tx: Transaction, id: str) -> None:
    """Queue the operations that are parked until operation `id` is over."""
    c = operations.c
    change = update(operations).where(c.waits_for == id, c.state == State.PARKED)
    if tx.run(change.values(state=State.QUEUED, waits_for=None, not_before=0, updated_at=tx.now)):
        tx.notify(BEGUN, "")


def end(tx: Transaction, id: str, epoch: int, state: State, **values: Any) -> None:
    """End the operation as its owner of `epoch`, and wake what waits for it."""
    write(tx, id, epoch, state=state, owner=None, lease_until=None, ended_at=tx.now, **values)
    wake_waiters(tx, id)
    tx.notify(ENDED, id)


def renew(tx: Transaction, owner: str, lease_s: float) -> None:
    """Give all operations of `owner` a full lease from now."""
    c = operations.c
    tx.run(
        update(operations)
        .where(c.owner == owner, c.state == State.RUNNING)
        .values(lease_until=tx.now + int(lease_s * SECOND))
    )
    tx.run(update(processes).where(processes.c.id == owner).values(heartbeat_at=tx.now))


def forget(tx: Transaction, before: int) -> int:
    """Drop operations that ended before `before` and that nobody waits for; how many there were."""
    return tx.run(delete(operations).where(operations.c.state.in_(OVER), operations.c.ended_at < before))


def is_open() -> ColumnElement[bool]:
    """The condition that an operation is not over, for queries of other rooms."""
    return operations.c.state.in_(OPEN)
