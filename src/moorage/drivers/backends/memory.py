"""The smallest backend: layers and exports are entries in dictionaries, bytes there are none."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from moorage.core.errors import Conflict
from moorage.volumes.backend import (
    CHUNK_BYTES,
    DIGEST_BYTES,
    Backend,
    Cache,
    Connection,
    Export,
    Foreign,
    Layer,
    Served,
    SourceDiffers,
    Space,
    Supply,
    Traits,
)

SPACE_BYTES = 1 << 50
FOREIGN = frozenset({"vmdk", "vdi", "vhd", "vhdx"})


@dataclass
class Copy:
    """What has been fetched of something that is elsewhere, chunk by chunk."""

    size: int
    digests: bytes
    chunks: dict[int, bytes] = field(default_factory=dict)

    @property
    def missing(self) -> Sequence[int]:
        return [chunk for chunk in range(-(-self.size // CHUNK_BYTES)) if chunk not in self.chunks]


@dataclass
class Server:
    """What serves one volume."""

    head: str
    alive: bool = True
    exports: dict[str, Export] = field(default_factory=dict)


class MemoryBackend(Backend):
    """Keeps everything in this process; nothing can be read or written through it."""

    traits = Traits(
        multiattach=True,
        extend_attached=True,
        shares=True,
        overlays=frozenset({"raw", "qcow2", "iso"}),
        converts=FOREIGN,
        copies=True,
    )

    def __init__(self) -> None:
        self._layers: dict[str, Layer] = {}
        self._servers: dict[str, Server] = {}
        self._copies: dict[str, Copy] = {}
        self._supply: Supply | None = None

    def create(self, layer: Layer) -> None:
        if self._layers.setdefault(layer.name, layer) != layer:
            raise Conflict(reason=f"There is another layer {layer.name}.")

    def convert(self, layer: Layer, source: Foreign, check: Callable[[], None]) -> int:
        check()
        self.create(layer)
        return layer.size

    def share(self, layer: Layer, source: str) -> None:
        if source not in self._layers:
            raise Conflict(reason=f"There is no layer {source}.")
        self.create(layer)

    def delete(self, name: str) -> None:
        served = any(server.head == name for server in self._servers.values())
        if served or any(layer.parent and layer.parent.name == name for layer in self._layers.values()):
            raise Conflict(reason=f"The layer {name} is in use.")
        self._layers.pop(name, None)
        self._copies.pop(name, None)

    def extend(self, layer: Layer, size: int) -> None:
        known = self._layers[layer.name]
        self._layers[layer.name] = replace(known, size=max(known.size, size))

    def layers(self) -> frozenset[str]:
        return frozenset(self._layers) | frozenset(self._copies)

    def make_copy(self, copy: str, size: int, digests: bytes) -> None:
        self._copies.setdefault(copy, Copy(size, digests))

    def prime_copy(self, layer: Layer) -> int:
        return 0

    def missing(self, copy: str) -> Sequence[int]:
        return self._copies[copy].missing

    def fill_copy(self, copy: str, chunk: int) -> int:
        kept, at = self._copies.get(copy), chunk * CHUNK_BYTES
        if kept is None:
            raise Conflict(reason=f"There is no copy {copy}.")
        if chunk in kept.chunks or self._supply is None:
            return 0
        length = min(CHUNK_BYTES, kept.size - at)
        data = b"".join(self._supply.open(copy, at, length))
        digest = kept.digests[chunk * DIGEST_BYTES : (chunk + 1) * DIGEST_BYTES]
        if len(data) != length or hashlib.sha256(data).digest() != digest:
            raise SourceDiffers(part=chunk, copy=copy)
        kept.chunks[chunk] = data
        return length

    def settle_copy(self, copy: str) -> bool:
        return not self._copies[copy].missing

    def pour_copy(self, copy: str, size: int, chunks: Iterable[bytes]) -> None:
        data = b"".join(chunks)
        parts = {at // CHUNK_BYTES: data[at : at + CHUNK_BYTES] for at in range(0, size, CHUNK_BYTES)}
        self._copies.setdefault(copy, Copy(size, b"", parts))

    def supply(self, supply: Supply) -> None:
        self._supply = supply

    def publish(self, export: Export, head: Layer, cache: Cache) -> Connection:
        if not self._served(export.volume):
            self._servers[export.volume] = Server(head.name)
        server = self._servers[export.volume]
        if server.head != head.name:
            raise Conflict(reason=f"The volume {export.volume} is served from {server.head}.")
        server.exports[export.attachment] = export
        return Connection(uri=f"memory://{export.name}")

    def _served(self, volume: str) -> bool:
        server = self._servers.get(volume)
        return server is not None and server.alive

    def advance(self, volume: str, head: Layer) -> None:
        server = self._servers.get(volume)
        if server is None or server.head == head.name:
            return
        if head.parent is None or head.parent.name != server.head:
            raise Conflict(reason=f"The volume {volume} is served from {server.head}.")
        server.head = head.name

    def withdraw(self, volume: str, attachment: str, *, careful: bool = False) -> None:
        if server := self._servers.get(volume):
            server.exports.pop(attachment, None)
            if not server.exports:
                self.clear(volume)

    def halt(self, volume: str) -> None:
        if server := self._servers.get(volume):
            server.alive = False
            server.exports.clear()

    def survey(self, volume: str | None = None) -> Mapping[str, Served]:
        return {
            id: Served(alive=server.alive, exports=frozenset(server.exports), head=server.head, lossless=True)
            for id, server in self._servers.copy().items()
            if volume in (None, id)
        }

    def clear(self, volume: str) -> None:
        self._servers.pop(volume, None)

    def space(self) -> Space:
        return Space(SPACE_BYTES, SPACE_BYTES - sum(layer.size for layer in self._layers.copy().values()))
