"""
The bytes of an object: from its segments, one after the other, where its layout is known, else from the object itself.

A service that is asked for a part of a large object may read its manifest and every segment's head before it answers;
each segment is an object like any other, and answers at once.
"""

import re
from collections.abc import Iterator

import urllib3

from moorage.core.errors import Problem
from moorage.drivers.stores.naming import image_of
from moorage.drivers.stores.remote import Stream, Unanswered
from moorage.drivers.stores.swift.layout import MARK, SEGMENT, Layout, said_of
from moorage.drivers.stores.swift.service import Service
from moorage.images.store import ObjectUnavailable, StoreUnavailable

_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.ASCII)


class Reader:
    """Reads the object `name`, which lies as `layout` says."""

    def __init__(self, service: Service, name: str, layout: Layout) -> None:
        self._service, self._name, self._layout = service, name, layout

    def read(self, offset: int, length: int | None) -> Iterator[bytes]:
        """The bytes from `offset` on, `length` of them or all; the first answer has come."""
        if not self._layout.readable:
            return Stream(self._begin, offset, length, self._service.remote.silence_s, self._failure)
        end = self._layout.size or 0
        return _Joined(self, self._layout.step, offset, end if length is None else min(end, offset + length))

    def of_segment(self, number: int, offset: int, length: int) -> Stream:
        """The bytes of one segment."""

        def begin(at: int, left: int | None) -> urllib3.BaseHTTPResponse:
            return self._begin_segment(number, at, length if left is None else left)

        return Stream(begin, offset, length, self._service.remote.silence_s, self._failure)

    def broken(self, why: str) -> Problem:
        """What is wrong with the object, and not with the store."""
        return ObjectUnavailable(image=image_of(self._name), store=self._service.store, why=why)

    def _begin(self, at: int, left: int | None) -> urllib3.BaseHTTPResponse | None:
        last = "" if left is None else str(at + left - 1)
        response = self._service.open(self._layout.object, {"Range": f"bytes={at}-{last}"})
        if response.status == 416:
            response.close()
            return None
        self._must_answer(response, at)
        if response.headers.get(MARK, "") != self._layout.mark:
            raise self._foreign(response, "it is not the object that was written")
        return response

    def _begin_segment(self, number: int, at: int, left: int) -> urllib3.BaseHTTPResponse:
        """The beginning of the segment's bytes, if it is the one that was written, as long as it was then."""
        response = self._service.open(self._layout.name(number), {"Range": f"bytes={at}-{at + left - 1}"})
        if response.status == 416:
            response.close()
            raise self.broken("a segment of it is too short")
        self._must_answer(response, at)
        headers, length = response.headers, self._layout.length(number)
        etag = headers.get("ETag", "").strip('"').lower()
        if headers.get(SEGMENT, "") != said_of(self._layout.mark, number, etag):
            raise self._foreign(response, "a segment of it is not the one that was written")
        if _place(response) != (at, at + left if response.status == 206 else length, length):
            response.close()
            raise self.broken("a segment of it has not the length that was written")
        return response

    def _must_answer(self, response: urllib3.BaseHTTPResponse, at: int) -> None:
        """Raises where these are not the bytes from `at` on."""
        if response.status == 206 or (response.status == 200 and at == 0):
            return
        response.close()
        if response.status >= 500:
            raise Unanswered(f"it answers {response.status}")
        raise self._service.problem(response.status, self._name)

    def _foreign(self, response: urllib3.BaseHTTPResponse, why: str) -> Problem:
        """An answer about something else: another object, or of something that is no object store."""
        response.close()
        return self.broken(why) if response.headers.get("ETag") else self._failure("its answer makes no sense")

    def _failure(self, why: str) -> Problem:
        return StoreUnavailable(store=self._service.store, why=why)


class _Joined(Iterator[bytes]):
    """The bytes from `at` to `end`, of segments of `step` bytes."""

    def __init__(self, reader: Reader, step: int, at: int, end: int) -> None:
        self._reader, self._step, self._at, self._end = reader, step, at, end
        self._chunks = self._opened()

    def __next__(self) -> bytes:
        if self._at >= self._end:
            raise StopIteration
        chunk = next(self._chunks, b"")
        if not chunk and self._at % self._step == 0:
            self._chunks = self._opened()
            chunk = next(self._chunks, b"")
        if not chunk:
            raise self._reader.broken("a segment of it ends too early")
        self._at += len(chunk)
        return chunk

    def close(self) -> None:
        """Let go of the connection."""
        self._chunks.close()

    def _opened(self) -> Stream:
        number, within = divmod(self._at, self._step)
        return self._reader.of_segment(number, within, min(self._step - within, self._end - self._at))


def _place(response: urllib3.BaseHTTPResponse) -> tuple[int, int, int] | None:
    """Which bytes come: the first, the one behind the last, and how many there are."""
    if response.status == 200:
        length = response.headers.get("Content-Length", "")
        return (0, int(length), int(length)) if length.isascii() and length.isdigit() else None
    if found := _RANGE.fullmatch(response.headers.get("Content-Range", "")):
        first, last, total = (int(number) for number in found.groups())
        return first, last + 1, total
    return None
