"""
Why: for any resource, what it is and since when, which operation has it, who is in the way, what happens next, what the
caller may do.

It only tells what rows say, and names only what the caller may see.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import select

from moorage.core.caller import Caller
from moorage.core.errors import NotFound
from moorage.database import Transaction
from moorage.flows.why_lease import add_lease
from moorage.flows.why_operation import sentence_of, waiting_for
from moorage.images.records import images
from moorage.operations import journal
from moorage.operations.records import OVER, events, operations
from moorage.volumes import attachment as volume_attachment
from moorage.volumes.attachment import State
from moorage.volumes.records import attachments, layers, volumes


class NothingOfThatKind(NotFound):
    """There is no {kind} {id}."""

    code = "why.not-found"


@dataclass(frozen=True)
class Part:
    """Something that has to do with it: an operation that owns it, or whoever is in the way."""

    kind: str
    id: str
    sentence: str


@dataclass
class Why:
    """The answer. Times are the database's."""

    kind: str
    id: str
    state: str
    since: int
    sentence: str
    next: str = "Nothing, until somebody asks for something."
    operation: Part | None = None
    blockers: list[Part] = field(default_factory=list)
    you_may: list[str] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        """The answer as JSON, but for its times."""
        return asdict(self)


# fmt: off
ATTACHMENT = {
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

VOLUME = {
    "available":  "It has its bytes, and nobody uses it.",
    "in-use":     "It is attached.",
    "reserved":   "It is claimed, and not yet attached.",
    "attaching":  "It is being attached.",
    "detaching":  "Its last attachment is being closed.",
    "creating":   "Its bytes are being made.",
    "deleting":   "It is being deleted.",
    "extending":  "It is being made larger.",
    "error":      "It could not be made.",
}

IMAGE = {
    "queued":      "It has no bytes yet.",
    "saving":      "Its bytes are being uploaded.",
    "active":      "Its bytes are there.",
    "deactivated": "Its bytes are there, and only administrators may read them.",
    "deleted":     "It is deleted.",
    "killed":      "Its upload failed.",
}
# fmt: on


def why(tx: Transaction, caller: Caller, kind: str, id: str) -> Why:
    """Why the resource is as it is."""
    return KINDS[kind](tx, caller, id)


def why_volume(tx: Transaction, caller: Caller, id: str) -> Why:
    """Why a volume is as it is."""
    row = _seen(tx, caller, volumes, "project_id", "volume", id)
    answer = Why(
        "volume",
        id,
        row["status"],
        _since(tx, "volume", row),
        VOLUME.get(row["status"], "It is in a state of its own."),
    )
    if row["override"]:
        answer.sentence = "An administrator has said so by hand; reset its status to undo that."
    elif row["failed"]:
        last = journal.last_on(tx, "volume", id)
        answer.sentence += f" {last['error']}" if last is not None and last["error"] else ""
    held = volume_attachment.held(tx, id)
    answer.blockers = [_blocker(claim) for claim in held if caller.sees(claim["project_id"])]
    _own(tx, answer, caller, journal.open_on(tx, "volume", [id]))
    if not answer.operation and not held:
        answer.you_may = ["attach it", "extend it", "delete it"]
    elif not answer.operation:
        more = ["attach it once more"] if row["multiattach"] else []
        answer.you_may = [
            *more,
            "delete the attachments that are in the way; then it can be deleted, or attached elsewhere",
        ]
    return answer


def why_attachment(tx: Transaction, caller: Caller, id: str) -> Why:
    """Why an attachment is as it is, also one that is over."""
    row = _seen(tx, caller, attachments, "project_id", "attachment", id)
    meaning, then = ATTACHMENT[State(row["state"])]
    answer = Why("attachment", id, row["state"], _since(tx, "attachment", row), meaning, then)
    if row["problem"]:
        answer.sentence += f" {row['problem']}"
    mine = [
        operation
        for operation in journal.open_on(tx, "volume", [row["volume_id"]])
        if id in (operation["input"].get("attachment"), *operation["input"].get("attachments", ()))
    ]
    _own(tx, answer, caller, mine)
    if not answer.operation and row["state"] != State.DETACHED:
        again = ["update it with your connector"] if row["state"] != State.ATTACHED else []
        answer.you_may = [*again, "delete it"]
    add_lease(tx, answer, row)
    return answer


def why_image(tx: Transaction, caller: Caller, id: str) -> Why:
    """Why an image is as it is."""
    row = _seen(tx, caller, images, "owner", "image", id)
    answer = Why(
        "image", id, row["state"], _since(tx, "image", row), IMAGE.get(row["state"], "It is in a state of its own.")
    )
    _own(tx, answer, caller, journal.open_on(tx, "image", [id]))
    lying = select(volumes).join(layers, volumes.c.base == layers.c.id).where(layers.c.image_id == id)
    above = select(layers.c.id).where(layers.c.parent.in_(select(layers.c.id).where(layers.c.image_id == id)))
    for query in (lying, select(volumes).where(volumes.c.head.in_(above))):
        for volume in tx.all(query):
            if caller.sees(volume["project_id"]):
                said = "It lies on the bytes of this image, which stay as long as it does."
                answer.blockers.append(Part("volume", volume["id"], said))
    if not answer.operation and caller.sees(row["owner"]):
        answer.you_may = (
            ["upload its bytes", "delete it"] if row["state"] == "queued" else ["make volumes of it", "delete it"]
        )
    return answer


def why_operation(tx: Transaction, caller: Caller, id: str) -> Why:
    """Why an operation is where it is."""
    row = _seen(tx, caller, operations, "project_id", "operation", id)
    about = f"{row['kind']} of {row['resource_kind']} {row['resource_id']}: "
    answer = Why("operation", id, row["state"], row["ended_at"] or row["updated_at"], about + sentence_of(tx, row))
    if row["state"] in OVER:
        answer.next = "Nothing: it is over, and is forgotten after a week."
    else:
        answer.next = waiting_for(tx, row)
        other = journal.get(tx, row["waits_for"]) if row["waits_for"] else None
        if other is not None and caller.sees(other["project_id"]):
            answer.blockers = [Part("operation", other["id"], f"{other['kind']}: {sentence_of(tx, other)}")]
    return answer


def _seen(tx: Transaction, caller: Caller, table: Any, owner: str, kind: str, id: str) -> Mapping[str, Any]:
    row = tx.one(select(table).where(table.c.id == id))
    if row is None or not caller.sees(row[owner]):
        raise NothingOfThatKind(kind=kind, id=id[:64])
    found: Mapping[str, Any] = row
    return found


def _since(tx: Transaction, kind: str, row: Mapping[str, Any]) -> int:
    """When it last changed its state, as its events tell."""
    c = events.c
    query = select(c.at).where(c.resource_kind == kind, c.resource_id == row["id"]).order_by(c.id.desc()).limit(1)
    return int(tx.value(query) or row["updated_at"] or row["created_at"])


def _blocker(claim: Mapping[str, Any]) -> Part:
    where = f" on host {claim['host']}" if claim["host"] else ""
    whose = f" for server {claim['instance_uuid']}" if claim["instance_uuid"] else ""
    return Part("attachment", claim["id"], f"{claim['state']} ({claim['mode'] or 'rw'}){where}{whose}")


def _own(tx: Transaction, answer: Why, caller: Caller, under_way: Sequence[Mapping[str, Any]]) -> None:
    """Say which operation has it; others that wait behind that one are in the way of what is asked next."""
    for operation in under_way:
        said = f"{operation['kind']}: {sentence_of(tx, operation)}"
        if not caller.sees(operation["project_id"]):
            continue
        if answer.operation is None:
            answer.operation = Part("operation", operation["id"], said)
            answer.next = waiting_for(tx, operation)
        else:
            answer.blockers.append(Part("operation", operation["id"], said))


KINDS: Mapping[str, Callable[[Transaction, Caller, str], Why]] = {
    "volume": why_volume,
    "attachment": why_attachment,
    "image": why_image,
    "operation": why_operation,
}
