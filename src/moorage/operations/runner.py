"""
The runner: claims operations from the queues that this process serves and carries them out on a few threads.

One operation at a time for each resource; a process that dies or hangs loses its operations when its lease lapses, at
once where it is proven dead. Nothing waits for an operation on a thread: who wants to know its end listens for `ENDED`.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from moorage.core.errors import Problem
from moorage.database import Database, Transaction
from moorage.operations import claims, journal, process
from moorage.operations.flow import Flow, Flows
from moorage.operations.periodic import Periodic
from moorage.operations.process import Process
from moorage.operations.retention import retention
from moorage.operations.threads import Threads
from moorage.operations.work import Carried, pause_s

log = logging.getLogger(__name__)

LEASE_S = 10.0
POLL_S = 0.25  #: how soon work that another process has queued is noticed
SURVEY_S = 2.0  #: how often the listed processes are looked at for signs of death


class UnknownKind(Problem):
    """No release that is running knows operations of kind {kind}."""

    code = "operation.unknown-kind"


#: An operation that anybody may carry out may have to wait, on its thread, for one that only this host can, such as a
#: store for a volume of its own. Those of the host wait for none, so each kind has as many threads, and none starves.
LANES = ("host", "any")


def lane(queue: str) -> str:
    """Which threads carry out the operations of `queue`."""
    return LANES[0] if queue.startswith("host:") else LANES[1]


class Runner:
    """
    Carries out the operations of `queues` in this process, and keeps its name on the list of those that are alive. One
    without queues only does the latter, for requests that carry out operations themselves (`hold`).
    """

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
        self.database, self.flows, self.rooms, self.me, self.lease_s = database, flows, rooms, me, lease_s
        self._queues, self._limit = list(queues), threads
        self._pool = Threads(threads * 2, "operation")
        self._running: dict[str, Carried] = {}
        self._held: set[str] = set()
        self._lost: dict[str, Carried] = {}  # what could not even be given back
        self._after_silence: list[Callable[[Transaction, int], None]] = []
        self._signalled: set[str] = set()
        self._more = False
        self._here = threading.local()
        self._guard, self._wake, self._stop = threading.Lock(), threading.Event(), threading.Event()
        self._loops = [
            threading.Thread(target=loop, name=f"operations-{loop.__name__.strip('_')}", daemon=True)
            for loop in (self._dispatch, self._beat)
        ]
        self.periodic = Periodic(database, me.id)
        for job in retention(database):
            self.periodic.add(job)
        self._unlisten: list[Callable[[], None]] = []

    def start(self) -> None:
        """Enter this process in the list of those alive, and begin to claim."""
        with self.database.write() as tx:
            self._notice_silence(tx)
            process.register(tx, self.me, self._queues)
        self._unlisten = [
            self.database.listen(journal.BEGUN, self._begun),
            self.database.listen(journal.CANCELLED, self._cancelled),
        ]
        self.database.here[journal.TAKER] = self
        for loop in self._loops:
            loop.start()
        if self._queues:
            self.periodic.start()

    def stop(self, patience_s: float = 1.0) -> None:
        """
        Claim nothing more and give running steps `patience_s`. What is between two steps goes back to its queue at
        once; a step that is still at it keeps its lease until that lapses, or until this process has ended.
        """
        self._stop.set()
        if self.database.here.get(journal.TAKER) is self:
            del self.database.here[journal.TAKER]
        self._wake.set()
        self.periodic.stop()
        for remove in self._unlisten:
            remove()
        until = time.monotonic() + patience_s
        for loop in self._loops:
            if loop.ident is not None:
                loop.join(patience_s)
        while self._running and time.monotonic() < until:
            time.sleep(0.005)
        self._pool.stop()
        try:
            with self.database.write() as tx:
                still = list(self._running)
                claims.release(tx, [self.me.id], apart_from=still)
                if not still:
                    process.leave(tx, self.me.id)
        except Exception:
            log.exception("the leases of this process could not be released; they lapse by themselves")

    def serve(self, queue: str) -> None:
        """Claim from `queue` as well, from now on."""
        if queue not in self._queues:
            self._queues = [*self._queues, queue]
        self.periodic.start()
        self._begun(queue)

    def after_silence(self, hook: Callable[[Transaction, int], None]) -> None:
        """
        Call `hook(tx, us)` when no process of the control plane was alive for `us` microseconds, longer than a lease:
        for whatever ends with time and is kept up by somebody's being heard. Ask for it before `start`.
        """
        self._after_silence.append(hook)

    @property
    def owner(self) -> str:
        """As whom it owns operations."""
        return self.me.id

    def takes(self, kind: str, queue: str, resource_kind: str, resource_id: str) -> bool:
        """Whether it would begin with such an operation at once: it has room, and nothing to do with the resource."""
        if kind not in self.flows or queue not in self._queues or self._stop.is_set():
            return False
        with self._guard:
            busy = any(other.resource == (resource_kind, resource_id) for other in self._running.values())
            return not busy and self._room(lane(queue)) > 0

    def _room(self, wanted: str) -> int:
        """How many operations more of a lane may run at once."""
        return self._limit - sum(lane(other.queue) == wanted for other in self._running.values())

    def take_up(self, row: Mapping[str, Any]) -> None:
        """Carry out an operation that this process owns, on a thread of its own."""
        kind = row["kind"]
        carried = Carried(self.database, self._flow(kind), row, self.rooms, self._stop.is_set)
        with self._guard:
            self._running[carried.id] = carried
        unknown = None if kind in self.flows else UnknownKind(kind=kind)
        self._pool.run(lambda: self._run(carried, row["attempts"], unknown))

    def carries(self, id: str) -> bool:
        """Whether this process carries operation `id` out at the moment."""
        return id in self._running

    def keep(self, id: str) -> None:
        """Renew the lease of operation `id` as well, which this process owns. For `hold`."""
        with self._guard:
            self._held.add(id)

    def no_longer_keep(self, id: str) -> None:
        """Leave the lease of operation `id` alone. For `hold`."""
        with self._guard:
            self._held.discard(id)

    def _begun(self, queue: str) -> None:
        again = getattr(self._here, "again", None)
        if again is not None:  # said by an operation of ours: its resource is free only once its run is over
            again.add(queue)
        if queue == "" or queue in self._queues:
            with self._guard:
                self._signalled.add(queue)
            self._wake.set()

    def _cancelled(self, id: str) -> None:
        carried = self._running.get(id)
        if carried is not None:
            carried.cancelled()

    def _dispatch(self) -> None:
        surveyed = -SURVEY_S
        while not self._stop.is_set():
            try:
                if time.monotonic() - surveyed > SURVEY_S:
                    surveyed = time.monotonic()
                    self._survey()
                while self._claim():
                    pass
            except Exception:
                log.exception("claiming operations failed")
                self._stop.wait(1.0)
            self._wake.wait(POLL_S)
            self._wake.clear()

    def _survey(self) -> None:
        """Release what processes had that are proven dead, and strike them off."""
        with self.database.read() as tx:
            dead = process.dead(tx)
        if dead:
            with self.database.write() as tx:
                claims.release(tx, dead)
                process.strike_off(tx, dead)

    def _claim(self) -> bool:
        """Claim and hand to threads what there is; whether there may be more."""
        with self._guard:
            signalled, self._signalled = self._signalled, set()
            rooms, busy = {each: self._room(each) for each in LANES}, {o.resource for o in self._running.values()}
            if min(rooms.values()) <= 0:
                self._more = True  # whoever ends looks again
        queues = [queue for queue in self._queues if queue in signalled] or self._with_work()
        queues = [queue for queue in queues if rooms[lane(queue)] > 0]
        if not queues or self._stop.is_set():
            return False
        rows: list[Mapping[str, Any]] = []
        full = False
        with self.database.write() as tx:
            for each, room in rooms.items():
                mine = [queue for queue in queues if lane(queue) == each]
                taken = busy | {(row["resource_kind"], row["resource_id"]) for row in rows}
                found = claims.claim(tx, self.me.id, mine, self.lease_s, room, taken) if mine else []
                rows, full = rows + found, full or (bool(mine) and len(found) == room)
        for row in rows:
            self.take_up(row)
        return full

    def _with_work(self) -> list[str]:
        if not self._queues:
            return []
        with self.database.read() as tx:
            return claims.anything(tx, self._queues)

    def _flow(self, kind: str) -> Flow:
        return self.flows[kind] if kind in self.flows else Flow(kind, ())

    def _run(self, carried: Carried, attempts: int, unknown: Problem | None) -> None:
        again: set[str] = set()
        self._here.again = again
        try:
            if unknown is not None:
                raise unknown
            carried.carry_out()
        except BaseException as problem:
            log.error("operation %s goes back to its queue", carried.id, exc_info=problem)
            self._give_back(carried, problem, attempts)
        finally:
            self._here.again = None
            with self._guard:
                self._running.pop(carried.id, None)
                more, self._more = self._more, False
            for queue in again:
                self._begun(queue)
            if more:
                self._wake.set()

    def _give_back(self, carried: Carried, problem: BaseException, attempts: int) -> None:
        try:
            carried.give_back(problem, pause_s(attempts))
        except journal.Fenced:
            pass
        except Exception:
            log.exception("operation %s could not be given back yet", carried.id)
            with self._guard:
                self._lost[carried.id] = carried

    def _beat(self) -> None:
        while not self._stop.wait(self.lease_s / 3):
            try:
                for carried in list(self._lost.values()):
                    self._lost.pop(carried.id, None)
                    self._give_back(carried, Problem(), 0)
                with self.database.write() as tx:
                    self._notice_silence(tx)
                    process.beat(tx, self.me, self._queues)
                    with self._guard:
                        mine = [*self._running, *self._held]
                    claims.renew(tx, self.me.id, self.lease_s, mine)
                    claims.wake_overdue(tx)
            except Exception:
                log.exception("renewing the leases failed")

    def _notice_silence(self, tx: Transaction) -> None:
        """Time in which nobody was alive counts against nobody's deadline."""
        away = process.silence(tx)
        if away > self.lease_s * journal.SECOND:
            log.warning("no process of the control plane was alive for %.1f s", away / journal.SECOND)
            claims.put_off(tx, away)
            for hook in self._after_silence:
                hook(tx, away)
