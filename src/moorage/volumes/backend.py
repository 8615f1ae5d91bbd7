"""
What the volume service asks of a storage backend, and what it may rely on.

A backend keeps *layers* (files, RBD images: bytes with a name, a format and perhaps a parent) and *exports* (doors, one
for each attachment).  It keeps no state of its own that cannot be rebuilt: the rows say which layer is a volume's head
and which exports there should be; `survey` says which there really are.

Calling a verb twice is calling it once.  A verb has three outcomes: it returns (done, and durable), raises a `Problem`
(not done), or raises `BackendUnsure` (ask `survey` before trusting anything).  Verbs block; they run on worker threads,
several at once for different volumes and never two at once for the same volume.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from moorage.core.errors import Problem, Refused, Unavailable


class BackendUnsure(Problem):
    """{backend} stopped answering during {verb}; whether it took effect is not known."""

    status, code = 503, "backend.unsure"


class WritesLost(Problem):
    """The server of volume {volume} died with writes of attachment {attachment} that it had acknowledged."""

    status, code = 503, "backend.writes-lost"


class BackendMissing(Unavailable):
    """{backend} cannot work on this machine: {missing} is missing ({remedy})."""

    code = "backend.missing"


class BackendFull(Problem):
    """{backend} has no room for {needed} bytes."""

    status, code = 413, "backend.full"


class Unreadable(Problem):
    """The bytes of {layer} cannot be read outside of an attachment."""

    status, code = 501, "backend.unreadable"


class SourceDiffers(Problem):
    """What came for part {part} of {copy} is not what its digest says."""

    status, code = 503, "backend.source-differs"


CHUNK_BYTES = 4 << 20  #: what copies are fetched and verified in; the last chunk may be short
DIGEST_BYTES = 32  #: of a chunk's SHA-256
POURED = frozenset({"qcow2", "vmdk", "vdi", "vhd", "vhdx", "ploop"})  #: formats of the files that `pour` makes


class Format(StrEnum):
    RAW = "raw"
    QCOW2 = "qcow2"


class Cache(StrEnum):
    """What an acknowledged write of a volume survives."""

    BACK = "back"  #: it is durable after the next flush, as on a disk with a volatile cache
    THROUGH = "through"  #: it is durable when it is acknowledged


class Door(StrEnum):
    """How the holder of an attachment reaches its export."""

    PRIVATE = "private"  #: the daemon's own socket; only for our host agent and hypervisor
    SOCKET = "socket"  #: a gate on a unix socket; for administrators and services on this host
    TLS = "tls"  #: a gate on TCP with a TLS pre-shared key; for everybody else


@dataclass(frozen=True)
class Layer:
    """Bytes with a name. Only rows name layers; a name is used once and never again."""

    name: str  #: relative to the backend's root: "volumes/<volume id>/<operation>-<epoch>"
    format: Format
    size: int  #: what its user sees, in bytes
    parent: "Layer | None" = None  #: what shows through where nothing was written; never written to again


@dataclass(frozen=True)
class Foreign:
    """Stored bytes that no layer can lie on, because their format is another; inspected and found sound."""

    name: str  #: relative to the backend's root, like a layer's
    format: str  #: vmdk, vdi, vhd, vhdx


class Supply(ABC):
    """Where the bytes of copies come from: given to a backend by whoever knows the stores."""

    @abstractmethod
    def open(self, copy: str, offset: int, length: int) -> Iterator[bytes]:
        """The bytes of the original of `copy` from `offset` on; more or fewer than `length` are no harm."""

    @abstractmethod
    def told(self, copy: str, problem: Problem | None) -> None:
        """Hear that a reader of `copy` did not get what he waits for, or (None) that he did after all."""


@dataclass(frozen=True)
class Export:
    """
    One attachment's door, as the rows ask for it. Unguessable parts come from the rows, so that a replay repeats them.
    """

    attachment: str
    volume: str
    name: str  #: 128 random bits in hex; grows anew with each generation, never reused
    read_only: bool
    door: Door
    secret: str | None = None  #: the TLS pre-shared key in hex, for `Door.TLS`


@dataclass(frozen=True)
class Connection:
    """What a holder needs in order to connect."""

    uri: str  #: an NBD URI (nbd+unix:///NAME?socket=..., nbds://HOST:PORT/NAME)
    socket: str | None = None  #: path of the unix socket, where there is one
    host: str | None = None
    port: int | None = None


@dataclass(frozen=True)
class Served:
    """How one volume is really served, or was until its server died."""

    alive: bool
    exports: frozenset[str]  #: ids of attachments that can use it now (dead server: that could)
    head: str  #: name of the layer that the server has (or had) open for writing
    lossless: bool  #: a client may be resumed after this death without missing an acknowledged write


@dataclass(frozen=True)
class Space:
    total: int  #: bytes
    free: int  #: bytes


@dataclass(frozen=True)
class Traits:
    """What a backend can do. The service reads this; it never asks for a backend's name."""

    multiattach: bool = False  #: one volume may be published to several holders
    extend_attached: bool = False  #: `extend` works while published
    advance: bool = False  #: `advance` works while published, under the hands of all who write
    doors: frozenset[Door] = frozenset()
    shares: bool = False  #: `share` gives frozen bytes another name
    overlays: frozenset[str] = frozenset()  #: formats of image files that a layer may lie on directly
    converts: frozenset[str] = frozenset()  #: formats of image files that `convert` reads
    copies: bool = False  #: keeps copies of bytes from elsewhere, on which layers may lie before they are whole


class Backend(ABC):
    """A kind of block storage. `memory` is the smallest one and reads first."""

    traits: Traits = Traits()

    @abstractmethod
    def create(self, layer: Layer) -> None:
        """Leave `layer` empty above its parent, durable. Twice is fine; a different one of that name is a `Problem`."""

    @abstractmethod
    def convert(self, layer: Layer, source: Foreign, check: Callable[[], None]) -> int:
        """
        Leave the raw `layer`, durable, with the disk inside of `source` and zeroes behind it; how many bytes that took.
        It may take long: `check` is called now and then, and what it raises ends the work. Twice is fine.
        """

    def share(self, layer: Layer, source: str) -> None:
        """
        Where `traits.shares`: leave `layer`, durable, with the very bytes of the layer `source`, not copied; nobody
        writes to either ever again, and each goes without the other. Twice is fine.
        """
        raise Refused(reason="This backend does not share bytes between layers.")

    def read(self, layer: Layer) -> Iterator[bytes]:
        """The bytes that `layer` shows, which nobody writes to meanwhile, in chunks."""
        raise Unreadable(layer=layer.name)

    def pour(self, layer: Layer, format: str, to: str, check: Callable[[], None]) -> Path:
        """
        Put the disk that `layer` shows, which nobody writes to meanwhile, into a new file of `format` (`POURED`) under
        the name `to`; where that is. `check` is called now and then. The file is scratch: `delete` takes it away.
        """
        raise Unreadable(layer=layer.name)

    @abstractmethod
    def delete(self, name: str) -> None:
        """Leave no bytes under `name`. It must not be served or be anybody's parent. Gone is fine."""

    @abstractmethod
    def extend(self, layer: Layer, size: int) -> None:
        """Make `layer` `size` bytes long, the new part reading as zeroes. Longer already is fine: it is never cut."""

    @abstractmethod
    def layers(self) -> frozenset[str]:
        """The names of all layers that have bytes, wanted or not: what `doctor` compares with the rows."""

    def make_copy(self, copy: str, size: int, digests: bytes) -> None:
        """
        Leave a copy of `size` bytes, none of them there as yet, durable; `digests` has the SHA-256 of each chunk. What
        is there already stays as it is.
        """
        raise NotImplementedError

    def prime_copy(self, layer: Layer) -> int:
        """Fetch what is needed before `layer`, which is a copy, can be opened, durable; how many bytes that took."""
        raise NotImplementedError

    def missing(self, copy: str) -> Sequence[int]:
        """The chunks, by number, that are not there yet."""
        raise NotImplementedError

    def fill_copy(self, copy: str, chunk: int) -> int:
        """
        Fetch the chunk, unless it is there; how many bytes that took. However many ask for it at once, it is fetched
        once. `SourceDiffers` where it is not what it should be; it is then as if nothing had come.
        """
        raise NotImplementedError

    def settle_copy(self, copy: str) -> bool:
        """Leave what has been fetched durable. Whether it is all: then nobody is asked for its bytes any more."""
        raise NotImplementedError

    def pour_copy(self, copy: str, size: int, chunks: Iterable[bytes]) -> None:
        """Leave a copy that is whole, of these bytes, durable; nobody sees any of them before."""
        raise NotImplementedError

    def supply(self, supply: Supply) -> None:
        """From now until `close`, what readers of copies miss is fetched from `supply`."""

    @abstractmethod
    def publish(self, export: Export, head: Layer, cache: Cache) -> Connection:
        """Open `export` of the volume whose head is `head`, starting its server where it has none."""

    @abstractmethod
    def advance(self, volume: str, head: Layer) -> None:
        """
        Let whoever serves `volume` write to `head` from now on, an empty layer on the one that it had: what was
        acknowledged before is below, durable, what comes later above, and no connection breaks. Not served, or so
        already, is fine.
        """

    @abstractmethod
    def withdraw(self, volume: str, attachment: str, *, careful: bool = False) -> None:
        """
        Close the door of `attachment`: when this returns no write of its holder lands any more, whatever he does, and
        what he wrote before is durable. The last export's end also ends the volume's server. Of a server that died with
        writes of the holder nothing is durable: it is forgotten, or if `careful`, kept and `WritesLost` raised.
        """

    @abstractmethod
    def halt(self, volume: str) -> None:
        """
        Serve `volume` to nobody for the time being: every door is closed, what was written is durable, its server has
        ended. `survey` tells of it, until it is published or cleared, as of one that died and lost nothing: whoever had
        a door may have it again. A `Problem` where that cannot be said.
        """

    @abstractmethod
    def survey(self, volume: str | None = None) -> Mapping[str, Served]:
        """
        Every volume (or this one) that is served now, and those whose server died and was not yet cleared away.
        """

    def watch(self, died: Callable[[str], None]) -> None:
        """
        From now until `close`, call `died`, on a thread of the backend, with each volume whose server or door ends
        though nobody asked for it; also with those where that has happened already. May be left out.
        """

    @abstractmethod
    def clear(self, volume: str) -> None:
        """
        Take away what a dead (or unwanted) server of `volume` left: process, sockets, gates, records; not the layers.
        """

    @abstractmethod
    def space(self) -> Space:
        """How much fits."""

    def idle(self) -> None:
        """End every process that serves nobody."""

    def close(self) -> None:
        """Let go of what this process holds; servers go on, to be found again by `survey`."""
