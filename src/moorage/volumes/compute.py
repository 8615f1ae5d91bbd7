"""
What is asked of the cloud's Compute before a user may take an attachment away, and what may be relied on.

It takes as long as another service takes to answer, so that it is asked outside of any transaction; who decides then
compares the attachment with the question once more.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moorage.core.errors import Unavailable

UNNAMED = ""  #: an attachment that Compute knows no id of


class ComputeUnsure(Unavailable):
    """Compute {reason}: whether server {instance} still uses the volume is not known, and nothing was changed."""

    code = "attachment.compute-unsure"


@dataclass(frozen=True)
class Question:
    """Whether a server uses an attachment as it is now: another generation or connection is another question."""

    attachment: str
    volume: str
    instance: str
    generation: int
    connection: Mapping[str, Any]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Question":
        """What there is to ask of the attachment `row`."""
        return cls(row["id"], row["volume_id"], row["instance_uuid"], row["generation"], row["connection"])


@dataclass(frozen=True)
class Word:
    """What Compute says: the attachments by which the server uses the volume; none if it does not use it."""

    attachments: frozenset[str]


class Compute(ABC):
    @abstractmethod
    def ask(self, instance: str, volume: str) -> Word | None:
        """What Compute says of the two; None: the cloud has no Compute. `ComputeUnsure` if it says nothing useful."""
