"""What is to be said of an operation: which step it is at, who has it, why it does not get on, and when it will."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from moorage.database import Transaction
from moorage.flows.registry import FLOWS
from moorage.operations.journal import SECOND
from moorage.operations.records import OVER, State, processes


def step_of(row: Mapping[str, Any]) -> str:
    """The name of the step that the operation is at."""
    if row["kind"] not in FLOWS:
        return f"number {row['step'] + 1}"
    steps = FLOWS[row["kind"]].steps
    name: str = steps[min(row["step"], len(steps) - 1)].name
    return name


def sentence_of(tx: Transaction, row: Mapping[str, Any]) -> str:
    """Where the operation is."""
    if row["state"] == State.DONE:
        return "It is done."
    if row["state"] == State.UNDONE:
        return f"It was taken back: {row['error'] or 'it was cancelled.'}"
    doing = f"{'It is being taken back, at' if row['back'] else 'It is at'} step {step_of(row)}"
    why = row["hindrance"] or row["error"]
    failures = f", which has failed {row['attempts']} times" if row["attempts"] else ""
    return f"{doing}{failures}{_owner(tx, row)}.{f' {why}' if why else ''}"


def _owner(tx: Transaction, row: Mapping[str, Any]) -> str:
    if not row["owner"]:
        return ""
    process = tx.one(select(processes).where(processes.c.id == row["owner"]))
    if process is None:
        return ", in the hands of a process that is gone"
    return f", in the hands of process {process['pid']} on {process['host']}"


def waiting_for(tx: Transaction, row: Mapping[str, Any]) -> str:
    """What happens next, and when."""
    if row["state"] in OVER:
        return "Nothing: it is over."
    if row["state"] == State.PARKED and row["waits_for"] == row["id"]:
        left_s = max(0, (row["deadline"] or 0) - tx.now) / SECOND
        return f"It goes on when its turn comes; it gives up in {left_s:.0f} s."
    if row["state"] == State.PARKED:
        return f"It goes on when operation {row['waits_for']} is over."
    if row["state"] == State.RUNNING:
        left_s = max(0, (row["lease_until"] or 0) - tx.now) / SECOND
        return f"It goes on; were its process dead, another would take over within {left_s:.0f} s."
    pause_s = (row["not_before"] - tx.now) / SECOND
    where = row["queue"].partition(":")[2] or "any host"
    if pause_s > 0:
        return f"It is tried again in {pause_s:.0f} s, on {where}."
    return f"It begins as soon as a process that looks after {where} has a thread for it."
