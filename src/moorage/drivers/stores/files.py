"""
A store of plain files: an object is the file of its name below the root.

What is being written lies beside it under the same name plus `.part`; only a rename, after the bytes are on the disk,
makes it an object.  Objects are read-only from then on.  Blocks of zeros take no room.
"""

import errno
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moorage.drivers import chains
from moorage.drivers.stores import views
from moorage.drivers.stores.naming import FOLDERS, PART, NameRefused, checked, image_of
from moorage.drivers.stores.writeback import STEP_BYTES, begin_writeback
from moorage.images.store import ObjectMissing, ObjectUnavailable, Store, StoreFull, StoreUnavailable, Traits, Writer

_CHUNK_BYTES = 1 << 20
_HOLE_BYTES = 64 << 10
_ZEROS = bytes(_HOLE_BYTES)
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_CLOSED = -1
_TRIES = 16  #: how often a folder may vanish under a new file before the store is called broken


class FilesStore(Store):
    """Objects as files below `root`; `owner` (uid, gid) of the files is who else may read them."""

    kind = "file"
    traits = Traits(local_files=True, shows=True)

    def __init__(self, id: str, root: Path, owner: tuple[int, int] | None = None) -> None:
        super().__init__(id)
        self.root, self.owner = root, owner

    def create(self, name: str, size: int | None) -> "FileWriter":
        self.delete(name)
        with self._as_problems(name):
            return FileWriter(self, name, self._new_part(name))

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        with self._as_problems(name):
            if views.is_view(name):
                return _Shown(self, name, views.read(self.root, self._path(name), offset, length, self.owner))
            file = self._opened(name)
            file.seek(offset)
        return _Chunks(self, name, file, length)

    def delete(self, name: str) -> None:
        path = self._path(name)
        with self._as_problems(name):
            names = (path,) if views.is_view(name) else (path, path.with_name(path.name + views.VIEW))
            gone = [_unlink(one) for path in names for one in (path, _part(path))]
            if any(gone):
                _sync_nearest_folder(path.parent)
            self._drop_empty_folders(path.parent)

    def size(self, name: str) -> int:
        with self._as_problems(name):
            return chains.size(self._path(name)) if views.is_view(name) else self._path(name).lstat().st_size

    def names(self) -> frozenset[str]:
        found = set()
        with self._as_problems(self.id):
            for path in self._files():
                try:
                    found.add(checked(os.path.relpath(path, self.root).removesuffix(PART)))
                except NameRefused:
                    pass  # nobody but us names files here, save people, whose files we leave alone
        return frozenset(found)

    def _files(self) -> Iterator[str]:
        for top in FOLDERS:
            for folder, _, files in os.walk(self.root / top, onerror=_raise_unless_gone):
                yield from (os.path.join(folder, file) for file in files)

    def free(self) -> int | None:
        with self._as_problems(self.id):
            self._make_folder(self.root)
            room = os.statvfs(self.root)
        return room.f_bavail * room.f_frsize

    def path(self, name: str) -> Path | None:
        return None if views.is_view(name) else self._path(name)

    def file(self, name: str) -> tuple[io.FileIO, int] | None:
        if views.is_view(name):
            return None
        with self._as_problems(name):
            file = self._opened(name)
            return file, os.fstat(file.fileno()).st_size

    def show(self, name: str, below: str, format: str, size: int) -> str:
        path, layer = self._path(name), self.root / below
        with self._as_problems(name):
            self._make_folder(path.parent)
            if format != "raw" or not views.link(path, layer, size):
                name += views.VIEW
                views.make(self._path(name), layer, format, size, self.owner)
            self._sync_folders(path.parent)
        return name

    def lies_on_layers(self, name: str) -> bool:
        return views.is_view(name)

    def url(self, name: str) -> str:
        return f"file://{self._path(name)}"

    def properties(self) -> Mapping[str, Any]:
        return {"data_dir": str(self.root), "chunk_size": _CHUNK_BYTES, "thin_provisioning": True}

    def _path(self, name: str) -> Path:
        return self.root / checked(name)

    def _opened(self, name: str) -> io.FileIO:
        return io.FileIO(os.open(f"{self.root}/{checked(name)}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "r")

    def _new_part(self, name: str) -> int:
        path = _part(self._path(name))
        for _ in range(_TRIES):
            try:
                self._make_folder(path.parent)
                return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                continue  # a delete beside us has just dropped the folder because it was empty
        raise StoreUnavailable(store=self.id, why="its folders do not stay")

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            return
        if self.owner:
            folder.chmod(0o711)  # passable, not listed: who owns the files may open those that it is told of

    def _sync_folders(self, folder: Path) -> None:
        """Bring every folder down to `folder` to the disk; which of them was new, a crash may have forgotten."""
        while folder != self.root.parent:
            _sync_folder(folder)
            folder = folder.parent
        _sync_folder(folder)

    def _drop_empty_folders(self, folder: Path) -> None:
        while self.root in folder.parents and folder.parent != self.root:
            try:
                folder.rmdir()
            except OSError:
                return  # other objects live there, or it never was
            folder = folder.parent

    @contextmanager
    def _as_problems(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise ObjectMissing(image=image_of(name), store=self.id) from error
        except chains.Astray as error:
            raise ObjectUnavailable(image=image_of(name), store=self.id, why="what it lies on was changed") from error
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise StoreFull(store=self.id) from error
            raise StoreUnavailable(store=self.id, why=os.strerror(error.errno or errno.EIO)) from error


class FileWriter(Writer):
    """A `.part` file that becomes the object at `commit`."""

    def __init__(self, store: FilesStore, name: str, fd: int) -> None:
        self._store, self._name, self._fd = store, name, fd
        self._path = store._path(name)
        self._size = self._begun = 0  #: bytes written; bytes that the kernel was told to bring to the disk
        self._committed = False

    def write(self, chunk: bytes) -> None:
        with self._store._as_problems(self._name):
            for start, end in _solid_runs(chunk, self._size):
                _write_all(self._fd, memoryview(chunk)[start:end], self._size + start)
        self._size += len(chunk)
        if self._size - self._begun >= STEP_BYTES:
            begin_writeback(self._fd, self._begun, self._size - self._begun)
            self._begun = self._size

    def commit(self) -> None:
        if self._committed:
            return
        with self._store._as_problems(self._name):
            os.ftruncate(self._fd, self._size)
            if self._store.owner:
                os.fchown(self._fd, *self._store.owner)
            os.fchmod(self._fd, 0o440 if self._store.owner else 0o400)
            os.fsync(self._fd)
            if not self._is_ours(_part(self._path)):
                raise FileNotFoundError(errno.ENOENT, "a later try took the name")
            os.rename(_part(self._path), self._path)
            self._store._sync_folders(self._path.parent)
        self._committed = True
        self._close()

    def abort(self) -> None:
        if self._committed:
            return
        with self._store._as_problems(self._name):
            for path in (_part(self._path), self._path):  # the second: a commit that failed after its rename
                if self._is_ours(path):
                    _unlink(path)
            self._store._drop_empty_folders(self._path.parent)
        self._close()

    def __del__(self) -> None:
        self._close()

    def _is_ours(self, path: Path) -> bool:
        """Whether `path` is the file that we write: a later try under this name puts its own there."""
        try:
            return self._fd != _CLOSED and os.path.samestat(os.fstat(self._fd), os.lstat(path))
        except FileNotFoundError:
            return False

    def _close(self) -> None:
        if self._fd != _CLOSED:
            fd, self._fd = self._fd, _CLOSED  # a number that is used again must never be written to by us
            os.close(fd)


class _Chunks(Iterator[bytes]):
    """The rest of an open file in chunks; the file is closed at its end, or when nobody reads on."""

    def __init__(self, store: FilesStore, name: str, file: io.FileIO, length: int | None) -> None:
        self._store, self._name, self._file, self._left = store, name, file, length

    def __next__(self) -> bytes:
        wanted = _CHUNK_BYTES if self._left is None else min(_CHUNK_BYTES, self._left)
        with self._store._as_problems(self._name):
            chunk = (self._file.read(wanted) or b"") if wanted > 0 and not self._file.closed else b""
        if not chunk:
            self._file.close()
            raise StopIteration
        if self._left is not None:
            self._left -= len(chunk)
        return chunk

    def __del__(self) -> None:
        self._file.close()


class _Shown(Iterator[bytes]):
    """What a view shows, in chunks; its reader ends with it."""

    def __init__(self, store: FilesStore, name: str, reader: chains.Reader) -> None:
        self._store, self._name, self._reader = store, name, reader

    def __next__(self) -> bytes:
        with self._store._as_problems(self._name):
            return next(self._reader)

    def close(self) -> None:
        self._reader.close()


def _part(path: Path) -> Path:
    return path.with_name(path.name + PART)


def _unlink(path: Path) -> bool:
    """Whether there was anything; nothing is left in any case."""
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _raise_unless_gone(error: OSError) -> None:
    """Fail on a folder that cannot be read: what it holds must not look deleted."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_nearest_folder(folder: Path) -> None:
    """Bring a deletion to the disk, even if the folder went too, by a delete beside this one."""
    try:
        _sync_folder(folder)
    except FileNotFoundError:
        _sync_nearest_folder(folder.parent)


def _solid_runs(chunk: bytes, offset: int) -> Iterator[tuple[int, int]]:
    """Where in `chunk`, which goes to `offset`, there is anything but whole blocks of zeros."""
    begin, at = None, 0
    while at < len(chunk):
        end = min(len(chunk), at + _HOLE_BYTES - (offset + at) % _HOLE_BYTES)
        if chunk.startswith(_ZEROS[: end - at], at):
            if begin is not None:
                yield begin, at
            begin = None
        elif begin is None:
            begin = at
        at = end
    if begin is not None:
        yield begin, at


def _write_all(fd: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(fd, data, offset)
        data, offset = data[written:], offset + written
