"""Why an attachment is as it is, also one that is over."""

from collections.abc import Mapping
from typing import Any

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.flows.why.answer import Why, own, seen, since
from moorage.flows.why.leases import add_lease
from moorage.flows.why.volumes import holder
from moorage.operations import journal
from moorage.volumes.attachments import attachment, queue
from moorage.volumes.attachments.attachment import TOLD, Mark, Origin, State, about
from moorage.volumes.records import attachments

#: Events that are a change of its state.
CHANGES = ("attachment.reserved", *(f"attachment.{told}" for told in TOLD.values()))

# fmt: off
MEANING = {
    # state                   what it means                                             what happens next
    State.RESERVED:        ("It is claimed by its holder, who has not said where he is.",
                            "Nothing by itself: it is its holder's, and does not expire."),
    State.ATTACHING:       ("It is open to its holder, who has not confirmed that he sees it.",
                            "Its holder completes it, or deletes it."),
    State.ATTACHED:        ("Its holder uses it.",
                            "Nothing, until its holder deletes it."),
    State.DETACHING:       ("Its door is being closed.",
                            "It is released as soon as no write of its holder can land any more."),
    State.DETACHED:        ("It is over.",
                            "Nothing."),
    State.ERROR_ATTACHING: ("Writes that its holder was told are there may be gone, so he must not simply go on.",
                            "Nothing by itself: an update by its holder revives it, its deletion ends it."),
    State.ERROR_DETACHING: ("Whether its door is closed is not known.",
                            "It is tried again; delete it once more to hasten that."),
}
HELD = {
    State.RESERVED:        ("os-reserve keeps the volume for whoever attaches it next.",
                            "os-attach makes it an attachment, os-unreserve or its deletion ends it; nothing else."),
    State.ATTACHING:       ("os-initialize_connection has opened the volume to a holder, who is not attached yet.",
                            "os-attach makes it an attachment; os-terminate_connection or its deletion ends it."),
}
LEAVING =                  ("Its holder has begun to detach it.",
                            "It ends once he detaches it, or goes on with os-roll_detaching.")
# fmt: on


def meaning_of(row: Mapping[str, Any]) -> tuple[str, str]:
    """What the attachment's state means, and what happens next."""
    state = State(row["state"])
    if row["origin"] == Origin.HOLD and state in HELD:
        return HELD[state]
    return LEAVING if row["mark"] == Mark.LEAVING and state == State.ATTACHED else MEANING[state]


def why(tx: Transaction, caller: Caller, id: str) -> Why:
    """What the attachment's state means, and who takes it on from there."""
    place = queue.find(tx, id)
    if place is not None and place["state"] == queue.State.WAITING and caller.sees(place["project_id"]):
        return _queued(tx, caller, place)
    row = seen(tx, caller, attachments, "project_id", "attachment", id)
    meaning, then = meaning_of(row)
    answer = Why("attachment", id, row["state"], since(tx, "attachment", row, CHANGES), meaning, then)
    if row["problem"]:
        answer.sentence += f" {row['problem']}"
    under_way = journal.open_on(tx, "volume", [row["volume_id"]])
    own(tx, answer, caller, [operation for operation in under_way if about(operation, id)])
    add_lease(tx, answer, row)
    return answer


def _queued(tx: Transaction, caller: Caller, place: Mapping[str, Any]) -> Why:
    ahead = [other["id"] for other in queue.waiting(tx, place["volume_id"])].index(place["id"])
    said = f"It waits for volume {place['volume_id']}, with {ahead} ahead of it."
    answer = Why("attachment", place["id"], "queued", place["created_at"], said)
    operation = journal.get(tx, place["operation"])
    own(tx, answer, caller, [operation] if operation is not None else [])
    held = attachment.held(tx, place["volume_id"])
    answer.blockers = [holder(claim) for claim in held if caller.sees(claim["project_id"])]
    answer.you_may = ["give it up: end the request that waits"]
    return answer
