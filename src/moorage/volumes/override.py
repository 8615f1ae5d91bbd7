"""What an administrator says of a volume by hand. What is derived wins again once he takes it back."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import update

from moorage.core.caller import Caller
from moorage.core.errors import Refused
from moorage.database import Transaction
from moorage.operations import events
from moorage.volumes import status
from moorage.volumes.attachments import attachment, withdrawal
from moorage.volumes.errors import InvalidVolume
from moorage.volumes.records import volumes

#: What may be set by hand.
STATUSES = (
    "creating available in-use attaching reserved maintenance error error_extending error_restoring error_managing "
    "error_backing-up awaiting-transfer managing extending retyping uploading backing-up restoring-backup downloading"
).split()
REFUSED = frozenset({"deleting", "error_deleting", "detaching"})
ATTACH_STATUSES = ("attached", "detached")
MIGRATION_STATUSES = "starting migrating completing success error deleting none".split()


def reset(
    tx: Transaction,
    caller: Caller,
    row: Mapping[str, Any],
    to: str | None = None,
    attach_status: str | None = None,
    migration_status: str | None = None,
) -> str | None:
    """
    Let the locked volume `row` have the status `to` until it is reset again. `available`, and `detached`, fence what is
    attached first: the operation that does it. `available` and `in-use` are taken only where they are true by then.
    """
    held = attachment.held(tx, row["id"])
    if to in REFUSED:
        raise Refused(reason=f"The status {to} cannot be set by hand.")
    if to in ("in-use", "attaching", "reserved") and not held:
        raise InvalidVolume(reason=f"Volume {row['id']} has no attachment: its status cannot be {to}.")
    if to == "available" and row["head"] is None:
        raise InvalidVolume(reason=f"Volume {row['id']} has no data: its status cannot be available.")
    values: dict[str, Any] = {}
    if to is not None:
        values["override"] = None if to in ("available", "in-use", "attaching", "reserved") else to
    if migration_status is not None:
        values["migration_status"] = None if migration_status == "none" else migration_status
    if values:
        tx.run(update(volumes).where(volumes.c.id == row["id"]).values(updated_at=tx.now, **values))
    facts = {"status": to, "attach_status": attach_status, "migration_status": migration_status}
    events.record(
        tx, "volume.reset", "volume", row["id"], row["project_id"], caller.request_id, by=caller.user_id, **facts
    )
    operation = None
    if held and (to == "available" or attach_status == "detached"):
        operation = withdrawal.withdraw(tx, caller, row, held)
    status.evaluate(tx, row["id"])
    return operation
