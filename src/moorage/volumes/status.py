"""
The status of a volume: derived, never written by anybody else.

It follows from the operation that is open on the volume, from whether it has bytes, from what an administrator has said
by hand and from its attachments.  Every transaction that changes one of these calls `evaluate` as its last step.
"""

from collections.abc import Collection, Mapping
from typing import Any

from moorage.database import Transaction
from moorage.operations import events, journal
from moorage.volumes.attachments import attachment, queue
from moorage.volumes.attachments.attachment import State
from moorage.volumes.records import volumes

#: What a volume is while an operation of this kind is open on it. Other kinds leave it as it is.
DURING: Mapping[str, str] = {
    "create-volume": "creating",
    "volume-from-conversion": "creating",
    "volume-from-copy": "creating",
    "volume-from-download": "downloading",
    "volume-from-image": "creating",
    "volume-from-image-volume": "creating",
    "volume-from-volume": "creating",
    "delete-volume": "deleting",
    "extend-volume": "extending",
    "copy-volume-to-image": "uploading",
}

#: Of several open operations, the one that comes last here counts.
_RANK = {kind: rank for rank, kind in enumerate(("extend-volume", "create-volume", "delete-volume"))}

# fmt: off
_FROM_ATTACHMENTS = (  # the first row that applies
    (frozenset({State.ATTACHED, State.ERROR_ATTACHING, State.ERROR_DETACHING}), "in-use"),
    (frozenset({State.ATTACHING}),                                              "attaching"),
    (frozenset({State.DETACHING}),                                              "detaching"),
    (frozenset({State.RESERVED}),                                               "reserved"),
)
# fmt: on


def derive(
    *, operations: Collection[str], bytes_there: bool, failed: bool, override: str | None, held: Collection[str]
) -> str:
    """The status of a volume on which `operations` (kinds) are open and which has attachments in the states `held`."""
    open_kinds = [kind for kind in operations if kind in DURING]
    if open_kinds:
        return DURING[max(open_kinds, key=lambda kind: _RANK.get(kind, 1))]
    if override is not None:
        return override
    if not bytes_there:
        return "error" if failed else "creating"
    states = set(held)
    return next((status for any_of, status in _FROM_ATTACHMENTS if states & any_of), "available")


def derived(tx: Transaction, row: Mapping[str, Any]) -> str:
    """What the status of the volume is now, whatever is stored."""
    return derive(
        operations=[operation["kind"] for operation in journal.open_on(tx, "volume", [row["id"]])],
        bytes_there=row["head"] is not None,
        failed=row["failed"],
        override=row["override"],
        held=[attachment.standing(held) for held in attachment.held(tx, row["id"])],
    )


def evaluate(tx: Transaction, volume_id: str) -> str | None:
    """
    Give the volume to whoever waits for it, if it is free, and store what its status then is; that status, or None when
    there is no such volume.
    """
    row = tx.get(volumes, volume_id)
    if row is None:
        return None
    status = derived(tx, row)
    if queue.concerned(tx, row, status):
        row = tx.lock(volumes, [volume_id])[0]
        queue.serve(tx, row, derived(tx, row))
        status = derived(tx, row)
    if status != row["status"]:
        tx.change(volumes, volume_id, {"status": status, "updated_at": tx.now})
        events.record(tx, "volume.status", "volume", volume_id, row["project_id"], was=row["status"], status=status)
    return status


def attach_status(held: Collection[str]) -> str:
    """What Block Storage calls the attach status of a volume with attachments in these states."""
    order = (
        State.ATTACHED,
        State.ATTACHING,
        State.DETACHING,
        State.RESERVED,
        State.ERROR_ATTACHING,
        State.ERROR_DETACHING,
    )
    return next((str(state) for state in order if state in held), str(State.DETACHED))


def settle(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """Evaluate the volume of an operation that has ended or turned back."""
    evaluate(tx, operation["resource_id"])


__all__ = ["DURING", "attach_status", "derive", "evaluate", "settle"]
