"""
The runner: claims operations from the queues that this process serves and carries them out on a few threads.

One operation at a time for each resource; a process that dies or hangs loses its operations when its lease lapses, at
once where it is proven dead.  Nothing waits for an operation on a thread: who wants to know its end listens for `ENDED`.
"""

import logging
import threading
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import select

from moorage.database import Database
from moorage.operations import journal, process
from moorage.operations.flow import Flows
from moorage.operations.process import Process
from moorage.operations.records import OPEN, operations, processes
from moorage.operations.work import Carried

log = logging.getLogger(__name__)

LEASE_S = 10.0
POLL_S = 0.25  #: how soon work that another process has queued is noticed
SURVEY_S = 2.0  #: how often processes of this host are looked at for signs of death
RETENTION_S = 7 * 86400.0


class Runner:
    """Carries out the operations of `queues` in this process."""

    def __init__(
        self,
        database: Database,
        flows: Flows,
        rooms: Any,
        me: Process,
        queues: Collection[str],
        *,
        threads: int = 8,
        lease_s: float = LEASE_S,
    ) -> None:
        self._database, self._flows, self._rooms, self.me, self._queues = database, flows, rooms, me, set(queues)
        self._threads, self._lease_s = threads, lease_s
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="operation")
        self._busy: dict[str, str] = {}  # resource id -> operation id
        self._dead: list[str] = []
        self._guard, self._wake, self._stop = threading.Lock(), threading.Event(), threading.Event()
        self._loops = [
            threading.Thread(target=loop, name=f"operations-{loop.__name__}", daemon=True)
            for loop in (self._dispatch, self._beat)
        ]

    def start(self) -> None:
        """Register this process and begin to claim."""
        with self._database.write() as tx:
            self._extend_deadlines(tx)
            process.register(tx, self.me, self._queues)
        self._database.listen(journal.BEGUN, lambda queue: self._wake.set())
        for loop in self._loops:
            loop.start()

    def stop(self, patience_s: float = 1.0) -> None:
        """Claim nothing more, give running steps `patience_s`, leave the rest to whoever comes next."""
        self._stop.set()
        self._wake.set()
        for loop in self._loops:
            loop.join(patience_s)
        self._pool.shutdown(wait=False, cancel_futures=True)
        until = time.monotonic() + patience_s
        while self._busy and time.monotonic() < until:
            time.sleep(0.01)
        if not self._busy:
            with self._database.write() as tx:
                process.leave(tx, [self.me.id])

    def serve(self, queue: str) -> None:
        """Claim from `queue` as well, from now on."""
        self._queues.add(queue)
        self._wake.set()

    def _extend_deadlines(self, tx: Any) -> None:
        """Time in which no control plane was alive counts against no deadline."""
        last = tx.value(select(processes.c.heartbeat_at).order_by(processes.c.heartbeat_at.desc()).limit(1))
        away = tx.now - last if last is not None else 0
        if away > self._lease_s * journal.SECOND:
            tx.run(
                operations.update().where(operations.c.state.in_(OPEN)).values(deadline=operations.c.deadline + away)
            )

    def _dispatch(self) -> None:
        looked = 0.0
        while not self._stop.is_set():
            self._wake.wait(POLL_S)
            self._wake.clear()
            if self._stop.is_set():
                return
            try:
                if time.monotonic() - looked > SURVEY_S:
                    looked = time.monotonic()
                    self._look_for_dead()
                while self._claim():
                    pass
            except Exception:
                log.exception("claiming operations failed")
                self._stop.wait(1.0)

    def _look_for_dead(self) -> None:
        with self._database.read() as tx:
            self._dead = process.dead(tx, self.me.host)

    def _claim(self) -> bool:
        """Claim and hand to threads what there is; whether there was anything."""
        with self._guard:
            room, busy = self._threads - len(self._busy), set(self._busy)
        if room <= 0 or not self._anything():
            return False
        with self._database.write() as tx:
            rows = journal.claim(tx, self.me.id, self._queues, self._lease_s, room, busy, self._dead)
            if self._dead and not rows:
                process.leave(tx, self._dead)  # whatever they had is claimed by now
                self._dead = []
        for row in rows:
            with self._guard:
                self._busy[row["resource_id"]] = row["id"]
            self._pool.submit(self._run, row)
        return bool(rows)

    def _anything(self) -> bool:
        """A cheap look before the write transaction."""
        c = operations.c
        with self._database.read() as tx:
            return (
                bool(self._dead)
                or tx.value(select(c.id).where(c.queue.in_(list(self._queues)), journal.claimable(tx)).limit(1))
                is not None
            )

    def _run(self, row: Any) -> None:
        try:
            if row["kind"] not in self._flows:
                log.error("operation %s is of a kind that this release does not know: %s", row["id"], row["kind"])
                return
            Carried(self._database, self._flows[row["kind"]], row, self._rooms).carry_out()
        except Exception:
            log.exception("operation %s stays with this process until its lease is over", row["id"])
        finally:
            with self._guard:
                self._busy.pop(row["resource_id"], None)
            self._wake.set()

    def _beat(self) -> None:
        swept = time.monotonic()
        while not self._stop.wait(self._lease_s / 3):
            try:
                with self._database.write() as tx:
                    journal.renew(tx, self.me.id, self._lease_s)
                    if time.monotonic() - swept > 600:
                        swept = time.monotonic()
                        journal.forget(tx, tx.now - int(RETENTION_S * journal.SECOND))
            except Exception:
                log.exception("renewing the leases failed")
