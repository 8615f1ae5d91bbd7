"""
Harm: who is killed, or stopped for a while, and when. A seed decides; what is there at that moment is the victim.

Every signal goes through a pidfd whose process was recognised by its start time: never to a stranger.
"""

import contextlib
import heapq
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from chaos.world import World
from moorage.drivers.processes import Identity

# fmt: off
WEIGHTS = {  # of kinds of victims, and how often each is stopped instead of killed
    "control": (26, 0.25),
    "daemon":  (20, 0.30),
    "gate":    (20, 0.25),
    "client":  (18, 0.20),
    "nbdfuse": ( 8, 0.25),
    "usurper": ( 8, 1.00),  # a client is stopped, what it has attached is taken from it, and it goes on
}
# fmt: on
WORKS_S = 4.0  #: for how long a control plane has answered before it is harmed
LONGEST_STOP_S = {"control": 14.0, "daemon": 8.0, "gate": 6.0, "client": 5.0, "nbdfuse": 5.0}


def send(identity: Identity, number: int) -> bool:
    """Whether that very process got the signal."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(identity.pid)
        try:
            if Identity.of(identity.pid) == identity:
                signal.pidfd_send_signal(handle, number)
                return True
        finally:
            os.close(handle)
    return False


@dataclass
class Harm:
    """The one who does it, a moment apart."""

    world: World
    seed: str
    pause_s: float
    journal: Callable[[str], None]
    usurp: Callable[[str], None]
    kills: Counter[str] = field(default_factory=Counter)
    stops: Counter[str] = field(default_factory=Counter)
    _asleep: list[tuple[float, int, Identity]] = field(default_factory=list)
    _due: float = 0.0
    _usurpers: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = random.Random(f"{self.seed}-harm")

    def go_on(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        self.wake(now)
        if not self._due:
            self._due = now + self.pause_s
        elif now >= self._due:
            self._due = now + self._chance.expovariate(1 / self.pause_s)
            self._strike()

    def wake(self, now: float | None = None) -> None:
        """Let those go on whose time has come; without a time, all."""
        while self._asleep and (now is None or self._asleep[0][0] <= now):
            send(heapq.heappop(self._asleep)[2], signal.SIGCONT)

    def _strike(self) -> None:
        kinds = list(WEIGHTS)
        kind = self._chance.choices(kinds, [WEIGHTS[name][0] for name in kinds])[0]
        place, sparing, length = self._chance.random(), self._chance.random(), self._chance.random()
        if kind == "usurper":
            self._usurp(place)
            return
        if kind == "control" and self.world.serving_s() < WORKS_S:
            kind = "gate"  # or nothing but starts is ever harmed
        victims = self.world.victims(kind)
        if not victims:
            return
        name, identity = victims[int(place * len(victims))]
        if sparing < WEIGHTS[kind][1]:
            seconds = 0.2 + length**2 * LONGEST_STOP_S[kind]
            if send(identity, signal.SIGSTOP):
                heapq.heappush(self._asleep, (time.monotonic() + seconds, identity.pid, identity))
                self.stops[kind] += 1
                self.journal(f"stop {kind} {name} pid {identity.pid} for {seconds:.1f} s")
        elif send(identity, signal.SIGKILL):
            self.kills[kind] += 1
            self.journal(f"kill {kind} {name} pid {identity.pid}")

    def _usurp(self, place: float) -> None:
        victims = self.world.victims("client")
        if victims:
            name, identity = victims[int(place * len(victims))]
            if send(identity, signal.SIGSTOP):
                self.stops["usurper"] += 1
                self.journal(f"usurp client {name} pid {identity.pid}")
                self._usurpers = [one for one in self._usurpers if one.is_alive()]
                self._usurpers.append(threading.Thread(target=self._take, args=(name, identity), daemon=True))
                self._usurpers[-1].start()

    def _take(self, name: str, identity: Identity) -> None:
        try:
            self.usurp(name)
        finally:
            send(identity, signal.SIGCONT)

    def rest(self) -> None:
        """No more harm: whoever was stopped goes on."""
        for usurper in self._usurpers:
            usurper.join()
        self.wake()
