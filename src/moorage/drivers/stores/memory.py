"""A store in this process's memory: the contract in its smallest form, for tests and for reading first."""

from collections.abc import Iterator

from moorage.drivers.stores.naming import checked, image_of
from moorage.images.store import ObjectMissing, Store, StoreFull, Writer

_CHUNK_BYTES = 1 << 20


class MemoryStore(Store):
    """Objects in a dictionary, `room_bytes` of them at most."""

    kind = "memory"

    def __init__(self, id: str, room_bytes: int | None = None) -> None:
        super().__init__(id)
        self._room_bytes = room_bytes
        self._objects: dict[str, bytes] = {}
        self._parts: dict[str, MemoryWriter] = {}

    def create(self, name: str, size: int | None) -> "MemoryWriter":
        self.delete(name)
        self._parts[name] = MemoryWriter(self, name)
        return self._parts[name]

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        data = self._held(name)
        end = len(data) if length is None else min(len(data), offset + length)
        return (data[start : min(end, start + _CHUNK_BYTES)] for start in range(offset, end, _CHUNK_BYTES))

    def delete(self, name: str) -> None:
        self._objects.pop(checked(name), None)
        self._parts.pop(name, None)

    def size(self, name: str) -> int:
        return len(self._held(name))

    def names(self) -> frozenset[str]:
        return frozenset(self._objects) | frozenset(self._parts)

    def free(self) -> int | None:
        return None if self._room_bytes is None else self._room_bytes - self._used_bytes()

    def _held(self, name: str) -> bytes:
        if checked(name) not in self._objects:
            raise ObjectMissing(image=image_of(name), store=self.id)
        return self._objects[name]

    def _used_bytes(self) -> int:
        return sum(map(len, self._objects.values())) + sum(len(part.data) for part in self._parts.values())


class MemoryWriter(Writer):
    """Bytes that become an object at `commit`, unless the name was given to somebody else meanwhile."""

    def __init__(self, store: MemoryStore, name: str) -> None:
        self.data = bytearray()
        self._store, self._name = store, name

    def write(self, chunk: bytes) -> None:
        free_bytes = self._store.free()
        if free_bytes is not None and len(chunk) > free_bytes:
            raise StoreFull(store=self._store.id)
        self.data += chunk

    def commit(self) -> None:
        if self._ours():
            self._store._objects[self._name] = bytes(self.data)
            del self._store._parts[self._name]
        elif self._name not in self._store._objects:
            raise ObjectMissing(image=image_of(self._name), store=self._store.id)

    def abort(self) -> None:
        if self._ours():
            del self._store._parts[self._name]

    def _ours(self) -> bool:
        return self._store._parts.get(self._name) is self
