"""Findings: each kind of disagreement between the rows and the machine, with its sentence and its remedy, as rows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Kind:
    """One kind of disagreement. Without a remedy, only a person can say what is to be done."""

    name: str
    sentence: str
    remedy: str = ""


REOPEN = "it becomes error_attaching until its holder updates it"

# fmt: off
KINDS = {kind.name: kind for kind in (
    #    name                  what is said of it, and below it what --fix does
    Kind("server-dead",       "The storage daemon of volume {volume} has died.",
                              "what may go on gets its old address back; the rest becomes error_attaching"),
    Kind("server-orphan",     "Volume {volume} has a storage daemon although nobody uses it.",
                              "end the daemon"),
    Kind("export-orphan",     "Volume {volume} is open to attachment {attachment}, which is over.",
                              "close that door"),
    Kind("export-missing",    "The door of attachment {attachment} of volume {volume} is closed.",
                              "open it again at its old address, or " + REOPEN),
    Kind("device-orphan",     "{device} is left of attachment {attachment}, which is over.",
                              "remove it"),
    Kind("device-dead",       "{device} of attachment {attachment} is dead.",
                              "remove it; " + REOPEN),
    Kind("device-missing",    "Attachment {attachment} of volume {volume} has no device any more.",
                              REOPEN),
    Kind("layer-orphan",      "The bytes {layer} in {backend} belong to no volume.",
                              "delete them"),
    Kind("layer-elsewhere",   "The bytes {layer} in {backend} are those of a volume in {other}. Is a backend called "
                              "otherwise now, or are these two in the same directory?"),
    Kind("layer-missing",     "The bytes {layer} in {backend} are missing; volumes that need them: {volumes}."),
    Kind("object-orphan",     "The bytes {object} in store {store} belong to no image.",
                              "delete them"),
    Kind("object-elsewhere",  "The bytes {object} in store {store} are those of an image in store {other}. Is a "
                              "store called otherwise now, or are these two in the same place?"),
    Kind("object-missing",    "The bytes {object} of image {image} are missing in store {store}."),
    Kind("attachment-abandoned", "Attachment {attachment} of volume {volume} is {state}, and no operation is at it.",
                              "it is reserved again where it was being published, else withdrawn"),
    Kind("volume-abandoned",  "Volume {volume} has no bytes, and no operation is making them.",
                              "its status becomes error, and it can be deleted"),
    Kind("status-stale",      "Volume {volume} is called {called}, and is {derived}.",
                              "store what it is"),
    Kind("operation-orphan",  "Operation {operation} ({what}) is about something that is gone.",
                              "end it"),
    Kind("operation-stuck",   "Operation {operation} ({what}) has failed {attempts} times: {error}",
                              "try it again at once"),
    Kind("operation-unknown", "Operation {operation} is of a kind that this release does not know: {what}."),
    Kind("unreadable",        "{what} cannot be looked at: {error}"),
)}
# fmt: on


@dataclass(frozen=True)
class Finding:
    """One disagreement: what kind, about which things."""

    kind: str
    facts: Mapping[str, Any]

    @property
    def sentence(self) -> str:
        return KINDS[self.kind].sentence.format_map(self.facts)

    @property
    def remedy(self) -> str:
        return KINDS[self.kind].remedy

    def shown(self) -> dict[str, Any]:
        """The finding as JSON."""
        return {**asdict(self), "facts": dict(self.facts), "sentence": self.sentence, "remedy": self.remedy}


def found(kind: str, **facts: Any) -> Finding:
    """A finding of `kind`."""
    return Finding(kind, facts)
