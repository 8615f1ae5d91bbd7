"""
An object on its way into a container: segments beside it, below the same name plus `.part`, and at the end the object.

A mark lies with the segments.  Whoever writes under the same name later, or deletes it, removes the mark, and without
it nothing is published.  Small objects become one object; larger ones a static manifest, which the service checks
against each segment; those of more segments than a static manifest may have a dynamic one, whose length is checked.
"""

import hashlib
import json
import secrets

from moorage.drivers.stores.naming import image_of
from moorage.drivers.stores.swift.layout import (
    ITSELF,
    MARK,
    SEGMENT,
    SEGMENTS,
    SIZE,
    STEP,
    Layout,
    folder,
    layout_of,
    said_of,
    segment,
)
from moorage.drivers.stores.swift.service import Service
from moorage.images.store import ObjectMissing, StoreUnavailable, Writer

_MOST_STATIC = 1000  #: segments of a static manifest, as services limit it
_LARGEST_MIB = 160
_MIB = 1 << 20


class SwiftWriter(Writer):
    """One segment in memory; it goes to the service when it is full."""

    def __init__(self, service: Service, name: str, object: str, size: int | None) -> None:
        self._service, self._name, self._object = service, name, object
        self._mark = secrets.token_hex(16)
        self._at = folder(object, self._mark)
        needed_mib = -(-(size or 0) // (_MOST_STATIC * _MIB))
        self._step = max(service.settings.segment_size, min(needed_mib, _LARGEST_MIB)) * _MIB
        self._buffer = bytearray()
        self._segments: list[tuple[str, str, int]] = []  #: name, md5 and bytes of each
        self._size = 0
        self._committed = self._over = False
        service.prepare()
        service.must(service.ask("PUT", self._at + "mark"), name)

    def write(self, chunk: bytes) -> None:
        self._must_be_open()
        self._buffer += chunk
        self._size += len(chunk)
        while len(self._buffer) >= self._step:
            piece = bytes(memoryview(self._buffer)[: self._step])
            del self._buffer[: self._step]
            self._send(piece)

    def commit(self) -> None:
        if self._committed:
            return
        self._must_be_open()
        if self._segments and self._buffer:
            piece, self._buffer = bytes(self._buffer), bytearray()
            self._send(piece)
        self._must_be_marked()
        self._publish()
        self._must_be_marked()
        if self._found() != self._size:
            raise StoreUnavailable(store=self._service.store, why="what it says to have taken is not there")
        self._committed = self._over = True
        self._remove(self._at + "mark")

    def abort(self) -> None:
        if self._committed:
            return
        self._over = True
        self._buffer = bytearray()
        self._withdraw()
        for name, _, _ in self._segments:
            self._remove(name)
        self._remove(self._at + "mark")

    def _send(self, piece: bytes) -> None:
        number, digest = len(self._segments), hashlib.md5(piece, usedforsecurity=False).hexdigest()
        name = segment(self._at, number)
        self._must_be_marked()
        self._segments.append((name, digest, len(piece)))  # named before it is there, so that an abort removes it
        headers = {"ETag": digest, SEGMENT: said_of(self._mark, number, digest)}
        self._service.must(self._service.ask("PUT", name, headers, piece), self._name)

    def _publish(self) -> None:
        service = self._service
        mark = {
            MARK: self._mark,
            SEGMENTS: str(len(self._segments)),
            "Content-Type": "application/octet-stream",
        }
        if self._segments:
            mark |= {STEP: str(self._step), SIZE: str(self._size)}
        if not self._segments:
            digest = hashlib.md5(self._buffer, usedforsecurity=False).hexdigest()
            answer = service.ask("PUT", self._object, {**mark, "ETag": digest}, bytes(self._buffer))
        elif len(self._segments) <= _MOST_STATIC:
            rows = [
                {"path": f"/{service.container}/{name}", "etag": digest, "size_bytes": size}
                for name, digest, size in self._segments
            ]
            query = {"multipart-manifest": "put"}
            answer = service.ask("PUT", self._object, mark, json.dumps(rows).encode(), query)
        else:
            answer = service.ask("PUT", self._object, {**mark, "X-Object-Manifest": f"{service.container}/{self._at}0"})
        if answer.status == 400:  # a static manifest names what is no longer there
            raise self._missing()
        service.must(answer, self._name)

    def _found(self) -> int | None:
        """How large the object under the name is, if it is the one that we write."""
        layout = self._layout()
        if layout is None:
            return None
        if len(self._segments) <= _MOST_STATIC:  # the service has looked at the segments itself
            return layout.size
        answer = self._service.must(self._service.ask("HEAD", self._object), self._name)
        return int(answer.headers.get("Content-Length", -1))

    def _layout(self) -> Layout | None:
        answer = self._service.ask("HEAD", self._object, query=ITSELF)
        if answer.status == 404 or answer.headers.get(MARK) != self._mark:
            return None
        return layout_of(self._object, self._service.must(answer, self._name).headers)

    def _withdraw(self) -> None:
        """The object is gone, if it is the one that we write."""
        if self._layout() is not None:
            self._remove(self._object)

    def _must_be_marked(self) -> None:
        """Where somebody else has the name now, nothing of ours stays."""
        answer = self._service.ask("HEAD", self._at + "mark")
        if answer.status == 404:
            self.abort()
            raise self._missing()
        self._service.must(answer, self._name)

    def _remove(self, object: str) -> None:
        answer = self._service.ask("DELETE", object)
        if answer.status != 404:
            self._service.must(answer, self._name)

    def _missing(self) -> ObjectMissing:
        return ObjectMissing(image=image_of(self._name), store=self._service.store)

    def _must_be_open(self) -> None:
        if self._over:
            raise self._missing()
