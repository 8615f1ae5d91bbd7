"""
Objects made of frozen layers of the backend beside the store, without a copy.

A raw layer is one file: the object is another name of it, and stands for itself from then on.  Any other is shown by a
*view*: an empty qcow2 file on the layer, under a name that says what it is, since no content ever decides how it is
read.  Nobody writes to a view.
"""

import contextlib
import errno
import os
from pathlib import Path

from moorage.drivers import chains
from moorage.drivers.programs import Account, Helpers

VIEW = ".view"
TIME_LIMIT_S, MEMORY_LIMIT_BYTES = 60, 1 << 30
_NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP})


def is_view(name: str) -> bool:
    """Whether the object of this name is a view."""
    return name.endswith(VIEW)


def link(path: Path, below: Path, size: int) -> bool:
    """Whether `path` is another name of the raw file `below`, which must be `size` bytes long for that."""
    if below.stat().st_size != size:
        return False
    try:
        os.link(below, path)
    except FileExistsError:
        return os.path.samefile(path, below)
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
    return True


def make(path: Path, below: Path, format: str, size: int, owner: tuple[int, int] | None) -> None:
    """Leave a view of `below` in `path`, whole or not at all."""
    if path.exists():
        return
    unfinished = path.with_name(path.name + ".part")
    unfinished.unlink(missing_ok=True)
    account = Account(owner[1], owner[1]) if owner else None
    descriptor = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if account is not None:
            os.fchown(descriptor, account.uid, account.gid)
        parent = os.path.relpath(below, path.parent)
        words = ["create", "-q", "-f", "qcow2", "-u", "-b", parent, "-F", format, str(unfinished), str(size)]
        Helpers().run(
            ["qemu-img", *words], time_limit_s=TIME_LIMIT_S, memory_limit_bytes=MEMORY_LIMIT_BYTES, account=account
        )
        if owner is not None:
            os.fchown(descriptor, *owner)
        os.fchmod(descriptor, 0o440 if owner else 0o400)
        os.fsync(descriptor)
        os.rename(unfinished, path)
    finally:
        os.close(descriptor)
        with contextlib.suppress(FileNotFoundError):
            unfinished.unlink()


def read(root: Path, path: Path, offset: int, length: int | None, owner: tuple[int, int] | None) -> chains.Reader:
    """What the view shows."""
    disk = chains.node(root, path, "qcow2")
    whole = chains.size(path)
    end = whole if length is None else min(whole, offset + length)
    account = Account(owner[1], owner[1]) if owner else None
    return chains.Reader(disk, offset, max(0, end - offset), account)
