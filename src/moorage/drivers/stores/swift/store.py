"""A store of objects in one container of a Swift service; Ceph's gateway answers the same API."""

from collections.abc import Iterator, Mapping
from typing import Any

from moorage.core.errors import Problem
from moorage.drivers.stores.naming import FOLDERS, PART, NameRefused, checked
from moorage.drivers.stores.remote import persistently
from moorage.drivers.stores.swift.layout import ITSELF, Layout, Layouts, layout_of
from moorage.drivers.stores.swift.reader import Reader
from moorage.drivers.stores.swift.service import Service
from moorage.drivers.stores.swift.settings import SwiftSettings
from moorage.drivers.stores.swift.writer import SwiftWriter
from moorage.images.store import ObjectMissing, ObjectUnavailable, Store, StoreUnavailable, Traits


class SwiftStore(Store):
    """Objects under their names, behind a prefix, in one container; their segments are beside them."""

    kind = "swift"
    traits = Traits(remote=True)

    def __init__(self, id: str, settings: SwiftSettings) -> None:
        super().__init__(id)
        self._service, self._settings, self._layouts = Service(id, settings), settings, Layouts()

    def create(self, name: str, size: int | None) -> SwiftWriter:
        self.delete(name)
        return SwiftWriter(self._service, name, self._object(name), size)

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        object = self._object(name)
        known = self._layouts.get(object)
        if known is not None:
            try:
                return self._read(name, known, offset, length)
            except (ObjectMissing, ObjectUnavailable):
                pass  # perhaps it is not that object any more
        layout = persistently(lambda: self._look(name), self._failure)
        return self._read(name, layout, offset, length)

    def delete(self, name: str) -> None:
        object = self._object(name)
        self._layouts.forget(object)
        parts = set(self._service.page_through(f"{object}{PART}/"))
        for mark in sorted(part for part in parts if part.endswith("/mark")):
            self._remove(mark, name)  # nobody publishes from now on
        found = self._service.ask("HEAD", object, query=ITSELF)
        if found.status != 404:
            self._service.must(found, name)
            parts.update(layout_of(object, found.headers).names())  # lists of a container may be behind
        self._remove(object, name)  # a manifest whose segments are gone says that it is not there, and is
        for part in sorted(parts):
            self._remove(part, name)

    def size(self, name: str) -> int:
        answer = self._service.must(self._service.ask("HEAD", self._object(name), query=ITSELF), name)
        size = self._layouts.learn(layout_of(self._object(name), answer.headers)).size
        return self._size_of_large(name) if size is None else size

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

    def _look(self, name: str) -> Layout:
        object = self._object(name)
        answer = self._service.must(self._service.look(object, ITSELF), name)
        return self._layouts.learn(layout_of(object, answer.headers))

    def _read(self, name: str, layout: Layout, offset: int, length: int | None) -> Iterator[bytes]:
        size = layout.size
        if length == 0 or (layout.readable and size is not None and offset >= size):
            self.size(name)
            return iter(())
        return Reader(self._service, name, layout).read(offset, length)

    def _size_of_large(self, name: str) -> int:
        """The size of a large object that says nothing itself: one of an earlier version, or of somebody else."""
        answer = self._service.must(self._service.ask("HEAD", self._object(name)), name)
        length = answer.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise self._failure("it does not say how large an object is")
        return int(length)

    def _failure(self, why: str) -> Problem:
        return StoreUnavailable(store=self.id, why=why)

    def _remove(self, object: str, name: str) -> None:
        answer = self._service.ask("DELETE", object)
        if answer.status != 404:
            self._service.must(answer, name)
