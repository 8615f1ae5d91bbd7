"""
What becomes of an import's bytes between their arrival and the stores: a row of `Transformation`s, in their order.

Each sees what the one before it made. Formats that change are the image's only when it becomes active, together with
its hashes: an import that fails has changed nothing that would have to be put back. Copies between stores are never
transformed, uploads neither.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from moorage.images.store import Writer

HEAD_BYTES = 64 << 10


@dataclass(frozen=True)
class Form:
    """What bytes are said to be."""

    disk_format: str
    container_format: str


@dataclass(frozen=True)
class Given:
    """The bytes as they are before a transformation, and what it works with."""

    form: Form
    size: int
    stores: Sequence[str]  #: ids of the stores that are to get the image
    chunks: Callable[[], Iterator[bytes]]  #: the bytes, from the beginning
    path: Path  #: the same as a file of this host, which nobody may write to
    scratch: Path  #: an empty directory of its own, gone afterwards whatever happens
    size_limit: int  #: how many bytes may come out
    largest_disk_bytes: int  #: how large the disk inside may be
    check: Callable[[], None]  #: call it at least every second: raises when the import is cancelled or taken over


class Transformation(ABC):
    """One way in which bytes become others. It keeps nothing, and may be carried out again after a crash."""

    name: str  #: what tasks and `why` call it

    def permit(self, stores: Sequence[str]) -> None:
        """Refuse (400) an import into these stores at once, where they want what cannot be had together."""
        return None

    @abstractmethod
    def becomes(self, form: Form, head: bytes, stores: Sequence[str]) -> Form | None:
        """
        What would come of bytes that begin with `head` (`HEAD_BYTES` of them); None where they are to be left alone. A
        refusal (a `Problem`) ends the import.
        """

    @abstractmethod
    def carry_out(self, given: Given, writer: Writer) -> None:
        """Write what comes of the bytes; the caller commits. Content that is refused raises a `Problem`."""
