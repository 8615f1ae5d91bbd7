"""Why an image is as it is."""

from sqlalchemy import select, union

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.flows.why.answer import MOST, Part, Why, own, seen, since
from moorage.images.records import images
from moorage.operations import journal
from moorage.volumes.records import layers, volumes

#: Events that are a change of its state.
CHANGES = tuple(
    f"image.{told}"
    for told in "created saving uploading importing active upload-failed deactivated reactivated deleted".split()
)

# fmt: off
MEANING = {
    "queued":      "It has no bytes yet.",
    "saving":      "Its bytes are being uploaded.",
    "uploading":   "Its bytes were staged, or are just being, and wait to be imported.",
    "importing":   "Its bytes are being imported.",
    "active":      "Its bytes are there.",
    "deactivated": "Its bytes are there, and only administrators may read them.",
    "deleted":     "It is deleted.",
    "killed":      "Its upload failed.",
}
# fmt: on


def why(tx: Transaction, caller: Caller, id: str) -> Why:
    """What the image's state means, and which volumes lie on its bytes."""
    row = seen(tx, caller, images, "owner", "image", id)
    meaning = MEANING.get(row["state"], "It is in a state of its own.")
    answer = Why("image", id, row["state"], since(tx, "image", row, CHANGES), meaning)
    own(tx, answer, caller, journal.open_on(tx, "image", [id]))
    its = select(layers.c.id).where(layers.c.image_id == id)
    above = select(layers.c.id).where(layers.c.parent.in_(its))
    c = volumes.c
    lying = union(*(select(c.id, c.project_id).where(on) for on in (c.base.in_(its), c.head.in_(above))))
    for volume in tx.all(lying.limit(MOST)):
        if caller.sees(volume["project_id"]):
            said = "It lies on the bytes of this image, which stay as long as it does."
            answer.blockers.append(Part("volume", volume["id"], said))
    return answer
