"""Withdraw attachments: close their doors for good, then release them. Once begun, it is never turned back."""

from collections.abc import Mapping
from typing import Any

from moorage.database import Transaction
from moorage.flows.attachments import attachment_device
from moorage.flows.volumes.volume_layers import backend_of
from moorage.operations.flow import Flow, Step, Work
from moorage.operations.records import State as Done
from moorage.volumes import status
from moorage.volumes.attachments import loss, withdrawal
from moorage.volumes.attachments.attachment import State
from moorage.volumes.backend import WritesLost
from moorage.volumes.records import attachments, volumes


def withdraw(work: Work) -> None:
    """No write of their holders lands any more. What they wrote before is durable, or the rows say that it is not."""
    ids = work.input["attachments"]
    with work.rooms.database.read() as tx:
        claims = {id: tx.get(attachments, id) for id in ids}
    for id in ids:
        attachment_device.take(work.rooms, claims[id])
        try:
            backend_of(work).withdraw(work.resource_id, id, careful=True)
        except WritesLost:
            with work.transaction() as tx:
                loss.admit(tx, work.resource_id, loss.DIED, [id])
            backend_of(work).withdraw(work.resource_id, id)


def settle(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """
    The attachments are over, or stay without a door, in the transaction in which the volume becomes what it is then.
    """
    tx.lock(volumes, [operation["resource_id"]])
    for claim in tx.lock(attachments, operation["input"]["attachments"]):
        if operation["state"] == Done.DONE and claim["state"] == State.DETACHING:
            withdrawal.closed(tx, claim, operation["request_id"] or "", operation["input"].get("reason"))
    status.evaluate(tx, operation["resource_id"])


WITHDRAW_ATTACHMENT = Flow("withdraw-attachment", (Step("withdraw", withdraw, forward_only=True),), settle=settle)
