"""Which part of an image a download is asked for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from moorage.core.errors import Malformed, Problem

_BYTES = re.compile(r"\s*bytes\s*=\s*(.*?)\s*", re.IGNORECASE)
_ONE = re.compile(r"(\d{1,20})?\s*-\s*(\d{1,20})?", re.ASCII)
_LEGACY = re.compile(r"\s*bytes\s+(\d{1,20})-(\d{1,20})/(?:\*|\d{1,20})\s*", re.IGNORECASE | re.ASCII)


class RangeNotSatisfiable(Problem):
    """The range {asked} is none of an image of {size} bytes."""

    status, code = 416, "image.range-not-satisfiable"


@dataclass(frozen=True)
class Part:
    """Bytes `first` to `last`, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    def header(self, size: int) -> str:
        """What `Content-Range` says of it."""
        return f"bytes {self.first}-{self.last}/{size}"


def part_of(headers: Mapping[str, str], size: int) -> Part | None:
    """The part that the request names; None for the whole. Old clients name it in `Content-Range`, which counts."""
    asked = headers.get("range")
    if asked is None and "content-range" in headers:
        legacy = _LEGACY.fullmatch(headers["content-range"])
        if legacy is None:
            raise Malformed(reason="The header Content-Range is like: bytes 0-99/*")
        asked = f"bytes={legacy[1]}-{legacy[2]}"
    return None if asked is None else _part(asked, size)


def _part(asked: str, size: int) -> Part:
    found = _BYTES.fullmatch(asked)
    if found is None:
        raise RangeNotSatisfiable(asked=asked[:64], size=size)
    if "," in found[1]:
        raise Malformed(reason="Requests with multiple ranges are not supported.")
    one = _ONE.fullmatch(found[1])
    if one is None or (one[1] is None and one[2] is None):
        raise RangeNotSatisfiable(asked=asked[:64], size=size)
    part = _of(None if one[1] is None else int(one[1]), None if one[2] is None else int(one[2]), size)
    if part.first >= size or part.length < 1:
        raise RangeNotSatisfiable(asked=asked[:64], size=size)
    return part


def _of(first: int | None, last: int | None, size: int) -> Part:
    if first is None:
        return Part(max(0, size - (last or 0)), size - 1)  # the last so many
    if last is not None and last < first:
        return Part(first, first - 1)  # empty: refused
    return Part(first, size - 1 if last is None else min(last, size - 1))
