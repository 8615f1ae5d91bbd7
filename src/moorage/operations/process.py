"""
Processes that own operations: who they are, and how it is known that one of them is dead.

A process is proven dead when its pid is gone, or is another process's, in the same boot and pid namespace that we are
in. Of any other process nothing is known but that it has been silent.
"""

import os
import socket
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select, text, update

from moorage.core.ids import new_uuid
from moorage.core.pids import pid_space, started
from moorage.database import Transaction
from moorage.operations.records import processes

_ALONE = text("SELECT pg_advisory_xact_lock(7305808869230500181)")
_LEFT = ""  #: the start time of a process that has left: nobody's


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
    """What pids mean something to each other: this boot, and the pid namespace within it."""
    return pid_space()


def register(tx: Transaction, process: Process, queues: Collection[str]) -> None:
    """Enter `process` in the list of those that may own operations."""
    # fmt: off
    values = {
        "id": process.id, "host": process.host, "pid": process.pid, "started": process.started, "boot": process.boot,
        "role": process.role, "queues": sorted(queues), "heartbeat_at": tx.now,
    }
    # fmt: on
    tx.run(insert(processes).values(**values))


def beat(tx: Transaction, process: Process, queues: Collection[str]) -> None:
    """Let it be known that `process` is alive; it enters the list again where somebody has struck it off."""
    mine = update(processes).where(processes.c.id == process.id)
    if not tx.run(mine.values(heartbeat_at=tx.now, queues=sorted(queues))):
        register(tx, process, queues)


def silence(tx: Transaction) -> int:
    """
    For how long, in microseconds, no process at all has been heard of; whoever asks does something about it, alone.
    """
    if tx.dialect == "postgresql":
        tx.value(_ALONE)
    last = tx.value(select(func.max(processes.c.heartbeat_at)))
    return 0 if last is None else max(tx.now - int(last), 0)


def leave(tx: Transaction, id: str) -> None:
    """
    Mark the process as gone. The row stays until a living process strikes it off: should there be none for a while, it
    tells from when on.
    """
    tx.run(update(processes).where(processes.c.id == id).values(started=_LEFT, heartbeat_at=tx.now))


def strike_off(tx: Transaction, ids: Collection[str]) -> None:
    """Take processes off the list."""
    tx.run(delete(processes).where(processes.c.id.in_(list(ids))))


def dead(tx: Transaction) -> list[str]:
    """The ids of listed processes that are proven dead, or have left."""
    rows, here = tx.all(select(processes)), boot_id()
    gone = [row for row in rows if row["started"] == _LEFT]
    gone += [row for row in rows if row["boot"] == here and started(row["pid"]) != row["started"] != _LEFT]
    return [row["id"] for row in gone]
