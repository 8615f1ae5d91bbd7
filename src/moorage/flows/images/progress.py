"""How far an import or a copy is, told while it goes on: the task's row every second, an event every five."""

import time

from moorage.database import Transaction
from moorage.images import task
from moorage.operations import events
from moorage.operations.flow import Work

TOLD_S, EVENT_S = 1.0, 5.0
MIB = 1 << 20


class Progress:
    """Counts bytes of one step of a task. `size` in bytes, where it is known."""

    def __init__(self, work: Work, doing: str, size: int | None) -> None:
        self._work, self._doing, self._size = work, doing, size
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
            if self._told - self._evented > EVENT_S:
                self._evented = self._told
                self._event(tx)

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
