"""
Examine a host: find what is wrong, have it repaired where that is asked for, and look again.

It is an operation in the host's queue, so that whoever looks after the host does it, wherever it was asked for.
"""

from collections.abc import Mapping
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Problem
from moorage.database import Transaction
from moorage.flows.reconciliation import reconcile
from moorage.flows.reconciliation.finding import Finding
from moorage.flows.rooms import Rooms
from moorage.operations import journal
from moorage.operations.flow import After, Flow, Step, Work
from moorage.operations.records import OVER

MOST = 1000  #: findings that one examination keeps


def look(work: Work) -> Mapping[str, Any]:
    """All that is wrong is written down."""
    return {"findings": [finding.shown() for finding in reconcile.survey(work.rooms)[:MOST]]}


def repair(work: Work) -> Mapping[str, Any]:
    """What can be repaired is repaired, or an operation is at it."""
    begun, failed = set(), []
    for shown in work.results["look"]["findings"] if work.input["fix"] else ():
        if not shown["remedy"]:
            continue
        finding = Finding(shown["kind"], shown["facts"])
        try:
            begun.add(reconcile.repair(work.rooms, finding))
        except (Problem, OSError) as problem:
            failed.append({**shown, "error": str(problem)})
    return {"operations": sorted(filter(None, begun)), "failed": failed}


def wait(work: Work) -> After | None:
    """No operation that repairs is under way any more."""
    with work.rooms.database.read() as tx:
        for id in work.results["repair"]["operations"]:
            row = journal.get(tx, id)
            if row is not None and row["state"] not in OVER:
                return After(id)
    return None


def look_again(work: Work) -> Mapping[str, Any]:
    """What is still wrong is written down."""
    return look(work) if work.input["fix"] else work.results["look"]


def begin(tx: Transaction, rooms: Rooms, caller: Caller, *, fix: bool) -> str:
    """Begin to examine this host; the operation's id."""
    return journal.begin(
        tx,
        EXAMINE_HOST.kind,
        "host",
        rooms.host[:64],
        queue=rooms.host_queue,
        project_id=None,
        input={"fix": fix},
        caller=caller,
    )


EXAMINE_HOST = Flow(
    "examine-host",
    (Step("look", look), Step("repair", repair), Step("wait", wait), Step("look-again", look_again)),
    deadline_s=600.0,
)
