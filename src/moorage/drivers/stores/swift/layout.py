"""
How an object lies in a container, as its metadata tell: in one piece, or in segments below the same name plus `.part`.

Whoever knows the layout reads and deletes the segments themselves and leaves the manifest alone. Each segment says of
itself whose it is, which one, and what its MD5 was when it was written, so that nothing in its place is taken for it.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from moorage.drivers.stores.naming import PART

MARK = "X-Object-Meta-Moorage-Writer"  #: who wrote an object
SEGMENTS = "X-Object-Meta-Moorage-Segments"  #: how many segments it has
STEP = "X-Object-Meta-Moorage-Step"  #: bytes of each of them but the last; objects of earlier versions do not say
SIZE = "X-Object-Meta-Moorage-Size"  #: bytes of all of them; likewise
SEGMENT = "X-Object-Meta-Moorage-Segment"  #: which segment an object is
#: Asks for a manifest and not for what it stands for, with which a service may be busy for long, for a HEAD as well.
ITSELF: Mapping[str, str] = {"multipart-manifest": "get"}
_KEPT = 1024  #: layouts that are remembered


@dataclass(frozen=True)
class Layout:
    """The layout of one object."""

    object: str
    mark: str = ""  #: who wrote it; "" where no writer of ours did
    segments: int = 0
    step: int = 0  #: 0: not known
    size: int | None = None  #: bytes of all; None: it does not say

    @property
    def readable(self) -> bool:
        """Whether its segments can be read without the manifest."""
        return self.size is not None and self.step > 0 and self.segments == -(-self.size // self.step) > 0

    def names(self) -> list[str]:
        """The segments."""
        return [self.name(number) for number in range(self.segments)]

    def name(self, number: int) -> str:
        """A segment, the first being 0."""
        return segment(folder(self.object, self.mark), number)

    def length(self, number: int) -> int:
        """Bytes of a segment."""
        return min(self.step, (self.size or 0) - number * self.step)


def layout_of(object: str, headers: Mapping[str, str]) -> Layout:
    """What the answer to a HEAD of the object itself tells."""
    mark, segments = headers.get(MARK, ""), _number(headers, SEGMENTS)
    if not (mark.isalnum() and mark.isascii()) or segments is None or segments > 99_999:
        return Layout(object)  # perhaps a manifest, which not every service says when it is asked for itself
    if segments:
        return Layout(object, mark, segments, _number(headers, STEP) or 0, _number(headers, SIZE))
    return Layout(object, mark, size=_number(headers, "Content-Length"))


def said_of(mark: str, number: int, digest: str) -> str:
    """What a segment, the first being 0, says of itself by `SEGMENT`."""
    return f"{mark}-{number}-{digest}"


def folder(object: str, mark: str) -> str:
    """Where a writer keeps its mark and its segments."""
    return f"{object}{PART}/{mark}/"


def segment(folder: str, number: int) -> str:
    """A segment's name, the first being 0."""
    return f"{folder}{number + 1:08}"


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


class Layouts:
    """
    The layouts of the objects that were read last. They go stale unseen, when an object is deleted or its name used
    again, and nobody is misled: no segment ever has the name of another object's.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: OrderedDict[str, Layout] = OrderedDict()

    def get(self, object: str) -> Layout | None:
        """The layout, if it is remembered."""
        with self._guard:
            if found := self._known.get(object):
                self._known.move_to_end(object)
            return found

    def learn(self, layout: Layout) -> Layout:
        """`layout`, remembered if it is that of an object of ours."""
        with self._guard:
            self._known.pop(layout.object, None)
            if layout.mark:
                self._known[layout.object] = layout
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return layout

    def forget(self, object: str) -> None:
        """Ask anew next time."""
        with self._guard:
            self._known.pop(object, None)
