"""
Closed-loop load: so many clients, each asking again as soon as it is answered, for so long; and what the servers paid.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Outcome:
    """What one row of the table needs."""

    clients: int
    count: int
    failed: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float | None  #: of the server's processes, per request; None where they are not on this machine

    @property
    def rate(self) -> float:
        return self.count / self.seconds if self.seconds else 0.0


def family(pids: Iterable[int]) -> set[int]:
    """These processes and all their descendants."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    parents[int(entry)] = int(stat.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that these processes have used so far, ended children included."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
            total += sum(int(f) for f in fields[11:15])
        except OSError:
            continue
    return total / TICKS


def load(
    work: Callable[[], None], clients: int, seconds: float, pids: Iterable[int] = (), at_most: int = 1_000_000
) -> Outcome:
    """Run `work` over and over with `clients` clients."""
    times: list[float] = []
    failures: list[str] = []
    start = threading.Barrier(clients + 1)
    until = 0.0

    def client() -> None:
        start.wait()
        while time.perf_counter() < until and len(times) < at_most:
            began = time.perf_counter()
            try:
                work()
            except Exception as problem:
                failures.append(repr(problem))
                if len(failures) > 100:
                    return
            times.append(time.perf_counter() - began)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    servers = family(pids)
    paid, began = cpu_seconds(servers), time.perf_counter()
    until = began + seconds
    start.wait()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    paid = cpu_seconds(servers) - paid
    if failures:
        print(f"  {len(failures)} failures, the first: {failures[0][:300]}")
    ordered = sorted(times) or [0.0]
    at = [ordered[min(len(ordered) - 1, int(len(ordered) * q))] * 1000 for q in (0.5, 0.99)]
    return Outcome(
        clients, len(times), len(failures), took, at[0], at[1], 1000 * paid / max(len(times), 1) if servers else None
    )
