"""
The shelf: all copies of one backend.

A copy is a file `copies/<image>/<maker>` with its book beside it.  Once it is whole it is a file like any other:
whoever opens it from then on reads it directly.  Until then daemons read it through a server.
"""

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from moorage.core.errors import Refused
from moorage.drivers.backends.files.copies import book
from moorage.drivers.backends.files.copies.copy import Copy, put
from moorage.drivers.backends.files.layers import PART, UNFINISHED, room_for, sync
from moorage.drivers.backends.files.problems import LayerMissing
from moorage.drivers.backends.files.rights import Rights, private_directory
from moorage.drivers.backends.files.sockets import Sockets

FAMILY = "copies"


class Shelf:
    """The copies below one directory, whole and not whole."""

    def __init__(self, root: Path, sockets: Sockets, rights: Rights, backend: str) -> None:
        self._root, self._sockets, self._rights, self._backend = root, sockets, rights, backend
        private_directory(root / FAMILY, 0o711)
        self._guard = threading.RLock()
        self._open: dict[str, Copy] = {}

    def _paths(self, name: str) -> tuple[Path, Path]:
        parts = name.split("/")
        if len(parts) != 3 or parts[0] != FAMILY or not all(PART.fullmatch(part) for part in parts):
            raise Refused(reason=f"{name!r} is not the name of a copy.")
        data = self._root.joinpath(*parts)
        return data, book.beside(data)

    def names(self) -> frozenset[str]:
        """All copies, and what is left of any."""
        found = set()
        for at, _, files in os.walk(self._root / FAMILY):
            for file in files:
                path = os.path.relpath(os.path.join(at, file), self._root)
                found.add(path.removesuffix(UNFINISHED).removesuffix(book.SUFFIX))
        return frozenset(found)

    def make(self, name: str, size: int, digests: bytes) -> None:
        """Leave a copy with nothing in it, or as it is if there is one."""
        data, page = self._paths(name)
        with self._guard:
            if page.exists():
                return
            with room_for(len(digests), self._backend):
                private_directory(data.parent, 0o711)
                with self._new(data) as descriptor:
                    os.ftruncate(descriptor, size)
                    os.fsync(descriptor)
                self._enter(page, book.text(size, digests))

    def pour(self, name: str, size: int, chunks: Iterable[bytes]) -> None:
        """Leave a copy of exactly these bytes, whole at once."""
        data, page = self._paths(name)
        if page.exists():
            return
        draft = data.with_name(data.name + UNFINISHED)
        try:
            with room_for(size, self._backend):
                private_directory(data.parent, 0o711)
                with self._new(draft) as descriptor:
                    _pour(descriptor, name, size, chunks)
                draft.replace(data)
                self._enter(page, book.text(size, b"", whole=True))
        except BaseException:
            draft.unlink(missing_ok=True)
            raise

    @contextmanager
    def _new(self, path: Path) -> Iterator[int]:
        """A new file that daemons can read and nobody but us can write."""
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            if self._rights.separate:
                os.fchown(descriptor, 0, self._rights.daemon_gid)
                os.fchmod(descriptor, 0o640)
            yield descriptor
        finally:
            os.close(descriptor)

    def _enter(self, page: Path, content: bytes) -> None:
        sync(page.parent)
        book.write(page, content)
        sync(page.parent)
        sync(page.parent.parent)

    def copy(self, name: str) -> Copy:
        """The open copy."""
        with self._guard:
            if name not in self._open:
                try:
                    self._open[name] = Copy(name, *self._paths(name), self._backend)
                except FileNotFoundError:
                    raise LayerMissing(layer=name) from None
            return self._open[name]

    def missing(self, name: str) -> Sequence[int]:
        """The chunks that are not there."""
        return self.copy(name).book.missing()

    def settle(self, name: str) -> bool:
        """Leave it durable; whether it is whole."""
        return self.copy(name).settle()

    def remove(self, name: str) -> None:
        """Leave nothing of the copy."""
        data, page = self._paths(name)
        with self._guard:
            copy = self._open.pop(name, None)
            if copy is not None:
                copy.gone()
            for path in (page, data, *(p.with_name(p.name + UNFINISHED) for p in (page, data))):
                path.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            sync(data.parent)
        with suppress(OSError):
            data.parent.rmdir()
            sync(data.parent.parent)

    def whole(self, name: str) -> bool:
        """Whether there is such a copy, with nothing missing."""
        return self._paths(name)[1].exists() and self.copy(name).book.whole

    def address(self, name: str) -> Path | None:
        """Where a copy that is not whole is served; None: it is a file like any other layer."""
        if not name.startswith(FAMILY + "/") or self.copy(name).book.whole:
            return None
        return self._sockets.copy(name)


def _pour(descriptor: int, name: str, size: int, chunks: Iterable[bytes]) -> None:
    at = 0
    for chunk in chunks:
        put(descriptor, chunk, at)
        at += len(chunk)
    if at != size:
        raise Refused(reason=f"{at} bytes came for {name}, not {size}.")
    os.ftruncate(descriptor, size)
    os.fsync(descriptor)
