"""Why a volume is as it is."""

from collections.abc import Mapping
from typing import Any

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.flows.why.answer import Part, Why, own, seen, since
from moorage.flows.why.hosts import deserted
from moorage.operations import journal
from moorage.volumes import copies
from moorage.volumes.attachments import attachment, queue
from moorage.volumes.records import volumes

#: Events that are a change of its state.
CHANGES = ("volume.created", "volume.status")

# fmt: off
MEANING = {
    "available":  "It has its bytes, and nobody uses it.",
    "in-use":     "It is attached.",
    "reserved":   "It is claimed, and not yet attached.",
    "attaching":  "It is being attached.",
    "detaching":  "Its last attachment is being closed.",
    "creating":   "Its bytes are being made.",
    "deleting":   "It is being deleted.",
    "downloading": "Its image is read from end to end, since the digests of its parts are not known.",
    "extending":  "It is being made larger.",
    "uploading":  "Its bytes are being copied into an image.",
    "error":      "It could not be made.",
}
# fmt: on


def why(tx: Transaction, caller: Caller, id: str) -> Why:
    """What the volume's status comes from, and who holds it."""
    row = seen(tx, caller, volumes, "project_id", "volume", id)
    meaning = MEANING.get(row["status"], "It is in a state of its own.")
    answer = Why("volume", id, row["status"], since(tx, "volume", row, CHANGES), meaning)
    if row["override"]:
        answer.sentence = "An administrator has said so by hand; reset its status to undo that."
    elif row["failed"]:
        last = journal.last_on(tx, "volume", id)
        answer.sentence += f" {last['error']}" if last is not None and last["error"] else ""
    answer.sentence += _copying(tx, row)
    answer.waiting = [
        Part("attachment", place["id"], f"Number {n} in the queue{_for(place)}.")
        for n, place in enumerate(queue.waiting(tx, id), 1)
        if caller.sees(place["project_id"])
    ]
    held = attachment.held(tx, id)
    answer.blockers = [holder(claim) for claim in held if caller.sees(claim["project_id"])]
    own(tx, answer, caller, journal.open_on(tx, "volume", [id]))
    if held and not answer.operation:
        answer.you_may = ["delete the attachments that are in the way; then it can be deleted, or attached elsewhere"]
    return answer


def _copying(tx: Transaction, row: Mapping[str, Any]) -> str:
    """How far the copy has come that the volume lies on, and what keeps it, if it is not whole."""
    copy = copies.below(tx, row["head"] or row["base"])
    if copy is None or copy["state"] == copies.State.WHOLE:
        return ""
    there, size = copy["bytes_there"] >> 20, copy["size_bytes"] >> 20
    said = f" Of its image's {size} MiB in store {copy['store']}, {there} MiB have been copied; the rest follows."
    if deserted(tx, copy["host"]):
        return said + " Nobody looks after its host at the moment: whoever reads what has not come waits for that."
    return said + (f" At the moment it does not come: {copy['trouble']}" if copy["trouble"] else "")


def holder(claim: Mapping[str, Any]) -> Part:
    """An attachment as something that is in the way."""
    where = f" on host {claim['host']}" if claim["host"] else ""
    return Part("attachment", claim["id"], f"{claim['state']} ({claim['mode'] or 'rw'}){where}{_for(claim)}")


def _for(claim: Mapping[str, Any]) -> str:
    return f" for server {claim['instance_uuid']}" if claim["instance_uuid"] else ""
