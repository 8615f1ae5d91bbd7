"""
How far an import or a copy is, told while it goes on: the task's row every second, an event every five.

The stores are written side by side with the same bytes, so one that has not failed has as many of them as the others.
"""

import time
from collections.abc import Mapping
from typing import Any

from moorage.core.errors import Problem
from moorage.database import Transaction
from moorage.images.imports import task
from moorage.operations import events
from moorage.operations.flow import Work

TOLD_S, EVENT_S = 1.0, 5.0
MIB = 1 << 20
WRITING = "Copied"  #: what is said to be done while stores are written


class Progress:
    """
    Counts bytes of one step of a task. `size` in bytes, where it is known; `failures`: the stores that have failed so
    far and are done without.
    """

    def __init__(self, work: Work, doing: str, size: int | None, failures: Mapping[str, Problem] | None = None) -> None:
        self._work, self._doing, self._size = work, doing, size
        self._failures: Mapping[str, Problem] = failures if failures is not None else {}
        self._noted: set[str] = set()
        self._done = 0
        self._told = self._evented = time.monotonic()
        self._tell()

    def moved(self, count: int) -> None:
        """So many bytes more. Raises what ends the operation from outside."""
        self._done += count
        self._work.check()
        if time.monotonic() - self._told > TOLD_S:
            self._tell()

    def end(self) -> None:
        """All bytes are where they belong; raises `Fenced` where that was done for an operation of somebody else."""
        self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        message = f"{self._doing} {self._done // MIB} MiB"
        with self._work.transaction() as tx:
            task.proceed(tx, self._work.id, self._done, self._size, message)
            self._note_failures(tx)
            if self._told - self._evented > EVENT_S:
                self._evented = self._told
                self._event(tx)

    def _note_failures(self, tx: Transaction) -> None:
        for store in self._failures.keys() - self._noted:
            self._noted.add(store)
            task.note_store(tx, self._work.id, store, reason=self._failures[store].sentence)

    def _event(self, tx: Transaction) -> None:
        work = self._work
        events.record(
            tx,
            "image.progress",
            "image",
            work.resource_id,
            work.project_id,
            task=work.id,
            doing=self._doing,
            done=self._done,
            size=self._size,
        )


def told(tx: Transaction, id: str) -> Mapping[str, Any] | None:
    """How far the task of operation `id` is, in all and with each store; None where the operation has no task."""
    row = task.get(tx, id)
    if row is None:
        return None
    message, size = row["message"] or "", row["size"]
    written = row["done"] if message.startswith(WRITING) else 0
    stores = [_store(store, written, size) for store in task.stores_of(tx, [id])]
    return {"message": message, "done": row["done"], "size": size, "stores": stores}


def _store(row: Mapping[str, Any], written: int, size: int | None) -> Mapping[str, Any]:
    state = row["state"]
    if state == task.StoreState.WAITING and row["reason"]:
        state = task.StoreState.FAILED  # the others go on
    done = {task.StoreState.WAITING: written, task.StoreState.DONE: size or written}.get(state, 0)
    return {"id": row["store"], "state": state, "done": done, "reason": row["reason"]}
