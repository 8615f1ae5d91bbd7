"""
Layers as files below one directory: made whole or not at all, never overwritten, never probed.

A layer is made under a name that ends in `.new`; once it is durable, it gets its own by a link, which fails if there is
one already.  Its parent's name is written into it relative to its own directory, so that a copied state directory uses
its own files.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moorage.core.errors import Refused
from moorage.drivers.backends.files import headers
from moorage.drivers.backends.files.problems import LayerDiffers, LayerMissing
from moorage.drivers.backends.files.rights import Rights, check_reach, give, private_directory
from moorage.drivers.programs import Account, Helpers, Pen, ProgramFailed, ProgramMissing
from moorage.volumes.backend import BackendFull, BackendMissing, Foreign, Format, Layer

FAMILY = "volumes"
PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
UNFINISHED = ".new"
DRIVERS = {"vmdk": "vmdk", "vdi": "vdi", "vhd": "vpc", "vhdx": "vhdx"}  #: what QEMU calls the foreign formats
TIME_LIMIT_S = 60
MEMORY_LIMIT_BYTES = 1 << 30
CONVERT_LIMIT_S = 3000
FOR_EVER_S = 10 * 365 * 86400
CONVERT_MEMORY_BYTES = 2 << 30  #: mostly address space, for the stacks of its threads


@dataclass(frozen=True)
class Elsewhere:
    """Layers that are not to be read as files, but by an NBD server."""

    address: Callable[[str], Path | None]  #: that server's, if the layer of that name has one
    fault_s: float = 0.0  #: how long a read there may take
    absence_s: float = 0.0  #: how long one waits for a server that is gone and that nobody revives; 0: until it is back


class Layers:
    """The files of one backend."""

    def __init__(
        self,
        root: Path,
        rights: Rights,
        helpers: Helpers,
        backend: str,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self.root, self.backend = root, backend
        self.elsewhere = elsewhere or Elsewhere(lambda name: None)
        self._rights = rights
        self._helpers = helpers
        private_directory(root / FAMILY, 0o711)

    def path(self, name: str) -> Path:
        """Where `name` is, be it ours or a parent that somebody else keeps."""
        parts = name.split("/")
        if len(parts) < 2 or not all(PART.fullmatch(part) for part in parts):
            raise Refused(reason=f"{name!r} is not the name of a layer.")
        return self.root.joinpath(*parts)

    def _own(self, name: str) -> Path:
        path = self.path(name)
        if name.count("/") != 2 or not name.startswith(FAMILY + "/"):
            raise Refused(reason=f"{name!r} is not a layer of a volume.")
        return path

    def create(self, layer: Layer) -> None:
        """Leave `layer` whole under its name, or nothing under it."""
        self._make(layer, lambda unfinished: self._fill(layer, unfinished))

    def convert(self, layer: Layer, source: Foreign, check: Callable[[], None]) -> int:
        """Leave `layer` with the disk inside of `source`, whole or not at all; how many bytes that took."""
        if layer.format is not Format.RAW or layer.parent is not None or source.format not in DRIVERS:
            raise Refused(reason=f"{source.format} is not converted to {layer.format.value}.")
        self._make(layer, lambda unfinished: self._pour(layer, source, unfinished, check))
        return self._own(layer.name).stat().st_blocks * 512

    def share(self, layer: Layer, source: str) -> None:
        """Leave the file of `source` under the name of `layer` too."""
        origin, path = self._own(source), self._own(layer.name)
        with room_for(0, self.backend):
            private_directory(path.parent, 0o711)
            try:
                os.link(origin, path)
            except FileNotFoundError:
                raise LayerMissing(layer=source) from None
            except FileExistsError:
                if not os.path.samefile(origin, path):
                    raise LayerDiffers(layer=layer.name, why=f"it is not {source}") from None
            sync(path.parent)
            sync(path.parent.parent)
        self.check(layer)

    def _make(self, layer: Layer, fill: Callable[[Path], None]) -> None:
        path = self._own(layer.name)
        unfinished = path.with_name(path.name + UNFINISHED)
        exists = path.exists()
        if exists:
            self.check(layer)
        elif layer.parent is not None:
            self.check(layer.parent)
        with room_for(layer.size, self.backend):
            private_directory(path.parent, 0o711)
            unfinished.unlink(missing_ok=True)
            if not exists:
                fill(unfinished)
                sync(unfinished)
                os.link(unfinished, path)
                unfinished.unlink()
            sync(path.parent)  # also where it exists already: whoever made it may have been killed before
            sync(path.parent.parent)

    def _fill(self, layer: Layer, path: Path) -> None:
        if layer.format is Format.RAW and layer.parent is not None:
            raise Refused(reason="A raw layer cannot lie on another.")
        _new_file(path, self._rights.daemon, layer.size if layer.format is Format.RAW else 0)
        if layer.format is Format.QCOW2:
            parent = () if layer.parent is None else ("-u", "-b", self._backing(layer), "-F", layer.parent.format.value)
            self._image("create", "-q", "-f", "qcow2", *parent, str(path), str(layer.size), room=layer.size)

    def _pour(self, layer: Layer, source: Foreign, path: Path, check: Callable[[], None]) -> None:
        """
        Fill a new raw file from `source`. The file is the sandbox's while it is written: what comes over a flaw of the
        reader can spoil this one file and open no volume's.
        """
        origin = self.path(source.name)
        try:
            if self._rights.separate:
                check_reach(origin, self._rights.sandbox, write=False)
        except FileNotFoundError:
            raise LayerMissing(layer=source.name) from None
        _new_file(path, self._rights.sandbox, layer.size)
        pen = Pen(layer.size, check)
        words = ("-n", "--target-is-zero", "-W", "-f", DRIVERS[source.format], "-O", "raw", str(origin), str(path))
        self._image("convert", "-q", *words, room=layer.size, pen=pen)
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            give(descriptor, self._rights.daemon)
        finally:
            os.close(descriptor)

    def _backing(self, layer: Layer) -> str | None:
        if layer.parent is None:
            return None
        return os.path.relpath(self.path(layer.parent.name), self.path(layer.name).parent)

    def _image(self, *words: str, room: int, pen: Pen | None = None) -> None:
        try:
            self._helpers.run(
                ["qemu-img", *words],
                time_limit_s=TIME_LIMIT_S if pen is None else CONVERT_LIMIT_S,
                memory_limit_bytes=MEMORY_LIMIT_BYTES if pen is None else CONVERT_MEMORY_BYTES,
                account=self._rights.daemon if pen is None else self._rights.sandbox,
                pen=pen,
            )
        except ProgramMissing as problem:
            raise missing(problem, self.backend) from problem
        except ProgramFailed as problem:
            if os.strerror(errno.ENOSPC) in problem.sentence or os.strerror(errno.EDQUOT) in problem.sentence:
                raise BackendFull(backend=self.backend, needed=room) from problem
            raise

    def check(self, layer: Layer) -> None:
        """Raise unless the files of `layer` and all below are what the row says and within the daemon's reach."""
        path = self.path(layer.name)
        try:
            with path.open("rb") as file:
                length = os.fstat(file.fileno()).st_size
                start = file.read(headers.READ_BYTES) if layer.format is Format.QCOW2 else b""
            if self._rights.separate:
                check_reach(path, self._rights.daemon, write=False)
        except FileNotFoundError:
            raise LayerMissing(layer=layer.name) from None
        why = self._difference(layer, length, start)
        if why is not None:
            raise LayerDiffers(layer=layer.name, why=why)
        if layer.parent is not None:
            self.check(layer.parent)

    def _difference(self, layer: Layer, length: int, start: bytes) -> str | None:
        if layer.format is Format.RAW:
            if layer.parent is not None:
                return "a raw file has no parent"
            return None if length >= layer.size else f"it has {length} bytes, not {layer.size}"
        try:
            header = headers.parse(start)
        except headers.BadHeader as error:
            return str(error)
        expected = (None, None) if layer.parent is None else (self._backing(layer), layer.parent.format.value)
        if (header.backing, header.backing_format) != expected:
            return "it lies on another parent"
        return None if header.size >= layer.size else f"it shows {header.size} bytes, not {layer.size}"

    def extend(self, layer: Layer, size: int) -> None:
        """Make it longer, never shorter; zeroes show in the new part even where the parent has bytes."""
        path = self._own(layer.name)
        self.check(layer)
        if layer.format is Format.QCOW2:
            if headers.parse(_beginning(path)).size < size:
                self._image("resize", "-q", self.outline(layer), str(size), room=size)
                sync(path)
            return
        with room_for(size, self.backend):
            if path.stat().st_size < size:
                os.truncate(path, size)
            sync(path)

    def delete(self, name: str) -> None:
        """Leave no file under `name`; the directory of the volume goes with its last one."""
        path = self._own(name)
        path.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            sync(path.parent)
        with contextlib.suppress(OSError):
            path.parent.rmdir()
            sync(path.parent.parent)

    def names(self) -> frozenset[str]:
        """All files, unfinished ones too; of what comes or goes meanwhile nothing is promised."""
        walked = os.walk(self.root / FAMILY)  # which does not mind a directory that is gone when its turn comes
        return frozenset(
            os.path.relpath(os.path.join(at, name), self.root) for at, _, files in walked for name in files
        )

    def sync(self, name: str) -> None:
        """Make what the kernel has of it durable."""
        sync(self.path(name))

    def far(self, names: Iterable[str]) -> bool:
        """Whether any of these layers is not to be read as a file."""
        return any(self.elsewhere.address(name) is not None for name in names)

    def outline(self, layer: Layer) -> str:
        """
        The chain of `layer` for a program that reads nothing of it. What is not to be read as a file is left out: it is
        never longer than what lies on it.
        """
        return "json:" + json.dumps(self.chain(layer, far=lambda below: None))

    def chain(
        self, layer: Layer, *, read_only: bool = False, far: Callable[[Layer], str | None] | None = None
    ) -> dict[str, Any]:
        """
        The block node of `layer` on its parents, everything named: format, file, what lies below. A parent that is not
        to be read as a file is what `far` says, by default the name of a node of its own.
        """
        file = {"driver": "file", "filename": str(self.path(layer.name)), "discard": "unmap"}
        node: dict[str, Any] = {"driver": layer.format.value, "read-only": read_only, "discard": "unmap", "file": file}
        if layer.format is Format.QCOW2:
            node["backing"] = None if layer.parent is None else self._below(layer.parent, far or _by_name)
        return node

    def _below(self, parent: Layer, far: Callable[[Layer], str | None]) -> Any:
        if self.far((parent.name,)):
            return far(parent)
        node = self.chain(parent, read_only=True, far=far)
        if far is _by_name and parent.parent is not None and self.far((parent.parent.name,)):
            node["node-name"] = upon_node(parent.name)
        return node

    def near_node(self, name: str, format: str) -> dict[str, Any]:
        """The node of a layer that lies on nothing and is a file like any other now."""
        node = self.chain(Layer(name, Format(format), 0), read_only=True)
        return {"node-name": "w" + short(name), **node}

    def upon(self, name: str, node: str, *, read_only: bool, backing: str) -> dict[str, Any]:
        """The options by which a qcow2 layer's node is opened again, and lies on the node `backing` then."""
        chain = self.chain(Layer(name, Format.QCOW2, 0), read_only=read_only)
        return {**chain, "node-name": node, "backing": backing}

    def far_nodes(self, head: Layer) -> dict[str, dict[str, Any]]:
        """By name, the nodes of layers below `head` that are not to be read as files: they have to be there first."""
        far = ((layer, self.elsewhere.address(layer.name)) for layer in lineage(head))
        return {far_node(layer.name): self._far(layer, address) for layer, address in far if address is not None}

    def _far(self, layer: Layer, address: Path) -> dict[str, Any]:
        """A daemon waits for a server that has died, and asks the next one again: what it reads there never changes."""
        server = {"type": "unix", "path": str(address)}
        wait_s = int(max(self.elsewhere.absence_s or FOR_EVER_S, self.elsewhere.fault_s))
        file = {"driver": "nbd", "server": server, "reconnect-delay": wait_s}
        node: dict[str, Any] = {"driver": layer.format.value, "read-only": True, "file": file}
        return node | ({"backing": None} if layer.format is Format.QCOW2 else {})


def far_node(name: str) -> str:
    """What a daemon calls the node of a layer that it reads from another server."""
    return "c" + short(name)


def _by_name(layer: Layer) -> str:
    return far_node(layer.name)


def upon_node(name: str) -> str:
    """What a daemon calls the node of a layer that lies on such a one and was not opened as a head."""
    return "u" + short(name)


def short(name: str) -> str:
    """A layer's name where names are short."""
    return hashlib.sha256(name.encode()).hexdigest()[:24]


def lineage(layer: Layer | None) -> Iterator[Layer]:
    """`layer`, its parent, and so on to the bottom."""
    while layer is not None:
        yield layer
        layer = layer.parent


def missing(problem: ProgramMissing, backend: str) -> BackendMissing:
    """The contract's words for a program that is not there."""
    return BackendMissing(backend=backend, missing=problem.facts["program"], remedy=problem.facts["remedy"])


def _new_file(path: Path, account: Account, length: int) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        give(descriptor, account)
        os.ftruncate(descriptor, length)
    finally:
        os.close(descriptor)


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(headers.READ_BYTES)


def sync(path: Path) -> None:
    """Make the file or directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def room_for(needed: int, backend: str) -> Iterator[None]:
    """What the kernel says of a full disk, in the contract's words."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise BackendFull(backend=backend, needed=needed) from error
        raise
