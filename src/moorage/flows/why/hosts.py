"""Why a host is as it is: who looks after it, and what waits for it. For whoever may see hosts."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.flows.why.answer import MOST, NothingOfThatKind, Why, part
from moorage.hosts.records import hosts
from moorage.hosts.service import HostNotFound, get
from moorage.operations import journal
from moorage.operations.journal import SECOND
from moorage.operations.records import operations, processes

SILENT_S = 30.0  #: who has not been heard of for so long does not look after anything


def deserted(tx: Transaction, id: str) -> bool:
    """Whether the one that looked after the host is stopped or dead."""
    row = tx.get(hosts, id)
    if row is None or row["process"] is None:
        return False
    process = _process(tx, row)
    return process is None or tx.now - process["heartbeat_at"] >= SILENT_S * SECOND


def _process(tx: Transaction, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return tx.one(select(processes).where(processes.c.id == row["process"])) if row["process"] else None


def why(tx: Transaction, caller: Caller, id: str) -> Why:
    """Whether somebody looks after the host, and the operations that need him."""
    if not (caller.is_admin or caller.is_service):
        raise NothingOfThatKind(kind="host", id=id[:64])
    try:
        row = get(tx, id)
    except HostNotFound:
        raise NothingOfThatKind(kind="host", id=id[:64]) from None
    process = _process(tx, row)
    heard = process["heartbeat_at"] if process is not None else row["heard_at"] or row["created_at"]
    alive = tx.now - heard < SILENT_S * SECOND
    if process is not None and alive:
        said = f"Process {process['pid']} ({process['role']}) looks after it."
    elif row["process"] is None:
        said = "Its agent was heard of." if alive else "Its agent has not been heard of since."
    else:
        said = "Nobody looks after it: the process that did is gone."
    answer = Why("host", id, "up" if alive else "silent", heard, " ".join([said, *row["obstacles"]]))
    c = operations.c
    waiting = select(operations).where(c.queue == f"host:{id}", journal.is_open()).order_by(c.created_at, c.id)
    for operation in tx.all(waiting.limit(MOST)):
        if caller.sees(operation["project_id"]):
            answer.waiting.append(part(tx, operation))
    if not alive:
        answer.next = "What waits for it goes on when `moorage up` or `moorage host` runs there again."
    return answer
