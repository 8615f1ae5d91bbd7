"""
Processes that own operations: who they are, and how it is known that one of them is dead.

A process of this host is proven dead when its pid is gone or belongs to another start time or boot; of a process on
another host nothing is known but that its lease has lapsed.
"""

import os
import socket
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, insert, select

from moorage.core.ids import new_uuid
from moorage.database import Transaction
from moorage.database.locks import started
from moorage.operations.records import processes


@dataclass(frozen=True)
class Process:
    """One process of the control plane."""

    id: str
    host: str
    pid: int
    started: str
    boot: str
    role: str

    @classmethod
    def this(cls, role: str, host: str | None = None) -> "Process":
        """The process that asks."""
        pid = os.getpid()
        return cls(new_uuid(), host or socket.gethostname(), pid, started(pid) or "", boot_id(), role)


def boot_id() -> str:
    """Which boot of this machine this is."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def register(tx: Transaction, process: Process, queues: Collection[str]) -> None:
    """Enter `process` in the list of those that may own operations."""
    values = {
        "id": process.id,
        "host": process.host,
        "pid": process.pid,
        "started": process.started,
        "boot": process.boot,
        "role": process.role,
    }
    tx.run(insert(processes).values(**values, queues=sorted(queues), heartbeat_at=tx.now))


def leave(tx: Transaction, ids: Collection[str]) -> None:
    """Strike processes off the list."""
    tx.run(delete(processes).where(processes.c.id.in_(list(ids))))


def dead(tx: Transaction, host: str) -> list[str]:
    """The ids of registered processes of `host` that are proven dead."""
    now = boot_id()
    rows = tx.all(select(processes).where(processes.c.host == host))
    return [row["id"] for row in rows if row["boot"] != now or started(row["pid"]) != row["started"]]
