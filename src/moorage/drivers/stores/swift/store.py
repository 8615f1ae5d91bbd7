"""A store of objects in one container of a Swift service; Ceph's gateway answers the same API."""

from collections.abc import Iterator, Mapping
from typing import Any

import urllib3

from moorage.drivers.stores.naming import FOLDERS, PART, NameRefused, checked
from moorage.drivers.stores.remote import Stream, Unanswered
from moorage.drivers.stores.swift.service import Service
from moorage.drivers.stores.swift.settings import SwiftSettings
from moorage.drivers.stores.swift.writer import SwiftWriter, segments_of
from moorage.images.store import Store, StoreUnavailable, Traits


class SwiftStore(Store):
    """Objects under their names, behind a prefix, in one container; their segments are beside them."""

    kind = "swift"
    traits = Traits(remote=True)

    def __init__(self, id: str, settings: SwiftSettings) -> None:
        super().__init__(id)
        self._service, self._settings = Service(id, settings), settings

    def create(self, name: str, size: int | None) -> SwiftWriter:
        self.delete(name)
        return SwiftWriter(self._service, name, self._object(name), size)

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        object = self._object(name)

        def begin(at: int, left: int | None) -> urllib3.BaseHTTPResponse | None:
            if left == 0:
                self.size(name)
                return None
            last = "" if left is None else str(at + left - 1)
            response = self._service.open(object, {"Range": f"bytes={at}-{last}"})
            if response.status == 206 or (response.status == 200 and at == 0):
                return response
            response.close()
            if response.status == 416:
                return None
            if response.status >= 500:
                raise Unanswered(f"it answers {response.status}")
            raise self._service.problem(response.status, name)

        def failure(why: str) -> Exception:
            return StoreUnavailable(store=self.id, why=why)

        return Stream(begin, offset, length, self._settings.timeout_s, failure)

    def delete(self, name: str) -> None:
        object = self._object(name)
        parts = set(self._service.page_through(f"{object}{PART}/"))
        for mark in sorted(part for part in parts if part.endswith("/mark")):
            self._remove(mark, name)  # nobody publishes from now on
        found = self._service.ask("HEAD", object)
        if found.status != 404:
            self._service.must(found, name)
            parts.update(segments_of(object, found.headers))  # lists of a container may be behind
        self._remove(object, name)  # a manifest whose segments are gone says that it is not there, and is
        for part in sorted(parts):
            self._remove(part, name)

    def size(self, name: str) -> int:
        answer = self._service.must(self._service.ask("HEAD", self._object(name)), name)
        length = answer.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise StoreUnavailable(store=self.id, why="it does not say how large an object is")
        return int(length)

    def names(self) -> frozenset[str]:
        found = set()
        for folder in FOLDERS:
            for object in self._service.page_through(f"{self._settings.prefix}{folder}/"):
                try:
                    found.add(checked(object.removeprefix(self._settings.prefix).partition(PART + "/")[0]))
                except NameRefused:
                    pass  # somebody else's, which we leave alone
        return frozenset(found)

    def free(self) -> int | None:
        return None

    def probe(self) -> None:
        next(self._service.page_through(self._settings.prefix + "images/", 1), None)

    def url(self, name: str) -> str:
        return f"swift+config://{self.id}/{self._settings.container}/{self._object(name)}"

    def properties(self) -> Mapping[str, Any]:
        size = self._settings.segment_size << 20
        return {
            "container": self._settings.container,
            "large_object_size": size,
            "large_object_chunk_size": size,
        }

    def close(self) -> None:
        self._service.remote.close()

    def _object(self, name: str) -> str:
        return self._settings.prefix + checked(name)

    def _remove(self, object: str, name: str) -> None:
        answer = self._service.ask("DELETE", object)
        if answer.status != 404:
            self._service.must(answer, name)
