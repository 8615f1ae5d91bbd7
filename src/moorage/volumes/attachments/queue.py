"""
The queue for a volume that cannot be had at the moment: who waits for it, first come, first served.

A place has the id of the attachment that it turns into. It is served by the transaction that makes the volume free, so
that nobody gets in between; whoever waits is woken by the end of the place's operation (`queue-attachment`), which
also ends with its time or with its client. Places are read and changed under the lock of their volume.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, delete, func, select

from moorage.core.caller import Caller
from moorage.core.ids import new_uuid
from moorage.database import Transaction
from moorage.database.fixed import Fixed
from moorage.operations import events, journal
from moorage.operations.journal import SECOND
from moorage.operations.records import processes
from moorage.volumes.attachments import attachment
from moorage.volumes.records import attachment_queue

KIND = "queue-attachment"
LONGEST_S = 600.0  #: nobody waits longer; one who comes back with his key begins anew
MOST = 256  #: places in one queue
SILENT_S = 60.0  #: a process that was not heard of for so long has no clients

SHARED = frozenset({"available", "in-use", "reserved", "attaching", "detaching"})
#: What a volume leaves by itself, or by its holder: worth to be waited for.
PASSING = SHARED | {"creating", "extending", "uploading"}


class State(StrEnum):
    WAITING = "waiting"  #: its turn has not come
    SERVED = "served"  #: the attachment is there; what is left to do is its operation's
    LEFT = "left"  #: the volume cannot be had any more, or nobody is there to be told


@dataclass(frozen=True)
class Asked:
    """What is asked of the attachment."""

    instance_uuid: str | None = None
    mode: str | None = None
    connector: Mapping[str, Any] | None = None
    door: str | None = None


c = attachment_queue.c
_WAITING = Fixed(
    select(attachment_queue).where(c.volume_id == bindparam("volume"), c.state == State.WAITING.value).order_by(c.turn)
)
_LAST = Fixed(select(func.max(c.turn)).where(c.volume_id == bindparam("volume")))
_DROP = Fixed(delete(attachment_queue).where(c.id == bindparam("the_id")))


def waiting(tx: Transaction, volume_id: str) -> Sequence[Mapping[str, Any]]:
    """Who waits for the volume, whoever is next first."""
    return tx.all(_WAITING, {"volume": volume_id})


def find(tx: Transaction, id: str) -> Mapping[str, Any] | None:
    """The place of attachment `id`."""
    return tx.get(attachment_queue, id)


def may_join(tx: Transaction, row: Mapping[str, Any]) -> bool:
    """Whether it makes sense to wait for the locked volume `row`, and there is room."""
    return row["override"] is None and row["status"] in PASSING and len(waiting(tx, row["id"])) < MOST


def join(
    tx: Transaction,
    caller: Caller,
    row: Mapping[str, Any],
    asked: Asked,
    wait_s: float,
    process: str | None,
    key: str | None = None,
) -> tuple[str, str]:
    """
    Take the last place in the queue for the locked volume `row`; the ids of the attachment that it turns into and of
    the operation that ends when it does. Without a `key` the place is its client's, who is connected to `process`.
    """
    id, wait_s = new_uuid(), LONGEST_S if key is not None else min(wait_s, LONGEST_S)
    operation = journal.begin(
        tx,
        KIND,
        "attachment",
        id,
        queue=f"host:{row['host']}",
        project_id=row["project_id"],
        input={"attachment": id, "volume": row["id"], "backend": row["backend"], "publish": new_uuid()},
        caller=caller,
        deadline_s=wait_s,
        key=key,
        asleep=True,
    )
    # fmt: off
    tx.enter(attachment_queue, {
        "id": id, "volume_id": row["id"], "project_id": row["project_id"], "user_id": caller.user_id,
        "turn": (tx.value(_LAST, {"volume": row["id"]}) or 0) + 1, "state": str(State.WAITING), "operation": operation,
        "process": None if key is not None else process, "instance_uuid": asked.instance_uuid, "mode": asked.mode,
        "connector": dict(asked.connector) if asked.connector else None, "door": asked.door,
        "created_at": tx.now, "until": tx.now + int(wait_s * SECOND),
    })
    # fmt: on
    facts = {"volume": row["id"], "instance": asked.instance_uuid}
    events.record(tx, "attachment.queued", "attachment", id, row["project_id"], caller.request_id, **facts)
    return id, operation


def concerned(tx: Transaction, row: Mapping[str, Any], status: str) -> bool:
    """Whether somebody waits for the volume `row` whose turn comes, or never will, now that it is in `status`."""
    return (_free(row, status) or _hopeless(status)) and bool(waiting(tx, row["id"]))


def serve(tx: Transaction, row: Mapping[str, Any], status: str) -> None:
    """
    Give the locked volume `row`, being in `status`, to whoever is next, or to all where they may share it. Where it
    cannot be had any more, all leave.
    """
    served = False
    for place in waiting(tx, row["id"]):
        if _hopeless(status) or not _alive(tx, place):
            _turn(tx, place, State.LEFT)
        elif _free(row, status) and (row["multiattach"] or not served):
            said = {"instance_uuid": place["instance_uuid"], "mode": place["mode"]}
            attachment.enter(tx, row, place["id"], place["user_id"], **said)
            _turn(tx, place, State.SERVED)
            served = True


def _free(row: Mapping[str, Any], status: str) -> bool:
    return status == "available" or (bool(row["multiattach"]) and status in SHARED)


def _hopeless(status: str) -> bool:
    return status == "deleting" or "error" in status


def _alive(tx: Transaction, place: Mapping[str, Any]) -> bool:
    """Whether whoever waits there can still be told: by a process that is alive, or by a key of his own."""
    if place["process"] is None:
        return True
    process = tx.get(processes, place["process"])
    heard = process is not None and process["started"] and process["heartbeat_at"] > tx.now - int(SILENT_S * SECOND)
    return bool(heard)


def _turn(tx: Transaction, place: Mapping[str, Any], state: State) -> None:
    tx.change(attachment_queue, place["id"], {"state": str(state)})
    journal.rouse(tx, place["operation"])


def drop(tx: Transaction, id: str) -> None:
    """Let there be no place of attachment `id`."""
    place = find(tx, id)
    if place is not None and tx.run(_DROP, {"the_id": id}) and place["state"] != State.SERVED:
        facts = {"volume": place["volume_id"], "instance": place["instance_uuid"]}
        events.record(tx, "attachment.left-queue", "attachment", id, place["project_id"], **facts)
