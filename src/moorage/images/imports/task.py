"""
A task: an import as clients follow it, and how far it is with each store.

A task's rows are written by the verb that begins it and by the operation that carries it out, whose id it has, and by
nobody else. While a task of an image is open no other import of the image begins: the open row is the lock, and the
operation's end, whichever it is, opens it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, insert, select, update

from moorage.core.caller import Caller
from moorage.core.lifecycle import lifecycle
from moorage.database import Transaction
from moorage.database.among import among
from moorage.images.records import images, task_stores, tasks
from moorage.operations.journal import SECOND

c, s = tasks.c, task_stores.c


class State(StrEnum):
    PENDING = "pending"  #: nobody has begun with it
    PROCESSING = "processing"  #: an operation works on it
    SUCCESS = "success"  #: over: the image has its bytes
    FAILURE = "failure"  #: over: nothing is left of it


class StoreState(StrEnum):
    WAITING = "waiting"  #: the store is still to get the bytes
    DONE = "done"  #: the store holds them
    FAILED = "failed"  #: the store does not get them; `reason` says why
    DROPPED = "dropped"  #: it gets nothing because another store failed


class Type(StrEnum):
    """What clients call the kinds of tasks."""

    API_IMPORT = "api_image_import"  #: an import that was asked for on an image
    LOCATION = "location_import"  #: bytes that others put somewhere are looked at
    IMPORT = "import"  #: an image that is made of a URL at once


OPEN = frozenset({State.PENDING, State.PROCESSING})
KEPT_S = 48 * 3600  #: how long clients are shown a task that is over

# fmt: off
LIFE = lifecycle(
    # event       may come from                                  leads to
    ("begin",     OPEN,                                          State.PROCESSING),
    ("succeed",   OPEN,                                          State.SUCCESS),
    ("fail",      OPEN,                                          State.FAILURE),
)
STORE_LIFE = lifecycle(
    # event       may come from                                  leads to
    ("finish",    {StoreState.WAITING},                          StoreState.DONE),
    ("fail",      {StoreState.WAITING},                          StoreState.FAILED),
    ("drop",      {StoreState.WAITING},                          StoreState.DROPPED),
)
# fmt: on


@dataclass(frozen=True)
class New:
    """What a task is begun with."""

    id: str
    type: Type
    image_id: str
    owner: str | None
    input: Mapping[str, Any]  #: as clients are shown it
    stores: Sequence[str]
    size: int | None = None  #: bytes, where it is known


def begin(tx: Transaction, caller: Caller, new: New) -> None:
    """A task that waits to be worked on; the image, whose row is locked, shows it from now on."""
    # fmt: off
    values = {
        "id": new.id, "type": new.type, "state": State.PENDING, "image_id": new.image_id, "owner": new.owner,
        "user_id": caller.user_id, "request_id": caller.request_id, "input": dict(new.input), "done": 0,
        "size": new.size, "created_at": tx.now, "updated_at": tx.now,
    }
    # fmt: on
    tx.run(insert(tasks).values(**values))
    rows = [
        {"task_id": new.id, "store": store, "position": n, "state": StoreState.WAITING}
        for n, store in enumerate(new.stores)
    ]
    if rows:
        tx.run(insert(task_stores), rows)
    tx.run(update(images).where(images.c.id == new.image_id).values(import_id=new.id))


@dataclass(frozen=True)
class Progress:
    """What an image shows of its last task."""

    open: str | None  #: the task, while it is open
    waiting: Sequence[str]  #: stores that are still to get the bytes
    failed: Sequence[str]  #: stores that do not get them


def progress_of(tx: Transaction, ids: Sequence[str]) -> dict[str, Progress]:
    """How far these tasks are, by their ids."""
    if not ids:
        return {}
    waiting: dict[str, list[str]] = {id: [] for id in ids}
    failed: dict[str, list[str]] = {id: [] for id in ids}
    for row in stores_of(tx, ids):
        told = {StoreState.WAITING: waiting, StoreState.FAILED: failed}.get(row["state"])
        if told is not None:
            told[row["task_id"]].append(row["store"])
    under_way = {row["id"] for row in tx.all(select(c.id).where(among(c.id, list(ids)), c.state.in_(OPEN)))}
    return {id: Progress(id if id in under_way else None, waiting[id], failed[id]) for id in ids}


def get(tx: Transaction, id: str) -> Mapping[str, Any] | None:
    """The task's row."""
    return tx.get(tasks, id)


def open_on(tx: Transaction, image_id: str) -> Mapping[str, Any] | None:
    """The task that is under way on the image."""
    return tx.one(select(tasks).where(c.image_id == image_id, c.state.in_(OPEN)))


def of_image(tx: Transaction, image_id: str) -> Sequence[Mapping[str, Any]]:
    """The image's tasks that have not expired, oldest first."""
    alive = c.expires_at.is_(None) | (c.expires_at > tx.now)
    return tx.all(select(tasks).where(c.image_id == image_id, alive).order_by(c.created_at, c.id))


def stores_of(tx: Transaction, ids: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """How far these tasks are with each of their stores, in the order in which those were asked for."""
    return tx.all(select(task_stores).where(among(s.task_id, list(ids))).order_by(s.task_id, s.position))


def proceed(tx: Transaction, id: str, done: int | None = None, size: int | None = None, message: str = "") -> None:
    """The task is being worked on, and got so far."""
    told = {"done": done, "size": size, "message": message or None}
    known = {name: value for name, value in told.items() if value is not None}
    _move(tx, id, "begin", **known)


def succeed(tx: Transaction, id: str, result: Mapping[str, Any], message: str) -> None:
    """The task is over and did what it was to do."""
    _move(tx, id, "succeed", result=dict(result), message=message, expires_at=tx.now + KEPT_S * SECOND)


def fail(tx: Transaction, id: str, message: str) -> None:
    """
    The task is over and did nothing. A store for which a reason is known has failed; where there is none such, all that
    were to get the bytes have, for the task's own reason.
    """
    _move(tx, id, "fail", message=message, expires_at=tx.now + KEPT_S * SECOND)
    waiting = (s.task_id == id) & (s.state == StoreState.WAITING)
    at_fault = tx.value(select(s.store).where(waiting & s.reason.is_not(None)).limit(1)) is not None
    if at_fault:
        tx.run(update(task_stores).where(waiting & s.reason.is_not(None)).values(state=StoreState.FAILED))
        tx.run(update(task_stores).where(waiting).values(state=StoreState.DROPPED))
    else:
        tx.run(update(task_stores).where(waiting).values(state=StoreState.FAILED, reason=message))


def end_store(tx: Transaction, id: str, store: str, event: str, reason: str | None = None) -> None:
    """One of the task's stores is done, or failed for this reason."""
    move = STORE_LIFE[event]
    at = (s.task_id == id) & (s.store == store) & s.state.in_(move.sources)
    tx.run(update(task_stores).where(at).values(state=move.target, reason=reason))


def note_store(tx: Transaction, id: str, store: str, **values: Any) -> None:
    """Write down the name under which a store is being written (`object`), or why it does not get on (`reason`)."""
    tx.run(update(task_stores).where(s.task_id == id, s.store == store).values(**values))


def forget(tx: Transaction, before: int, limit: int = 1000) -> int:
    """
    Drop up to `limit` tasks that expired before `before`, but the last one of each image that is not deleted, which
    its progress is shown by; how many there were.
    """
    shown = select(images.c.import_id).where(images.c.import_id == c.id, images.c.deleted_at.is_(None))
    old = select(c.id).where(c.expires_at < before, ~shown.exists()).order_by(c.expires_at).limit(limit)
    ids = [row["id"] for row in tx.all(old)]
    if ids:
        tx.run(delete(task_stores).where(among(s.task_id, ids)))
        tx.run(delete(tasks).where(among(c.id, ids)))
    return len(ids)


def _move(tx: Transaction, id: str, event: str, **values: Any) -> None:
    move = LIFE[event]
    at = (c.id == id) & c.state.in_(move.sources)
    tx.run(update(tasks).where(at).values(state=move.target, updated_at=tx.now, **values))
