"""
The disk of an attachment, reached as its holder would: over NBD, through a gate or with TLS, or as a block device.

Whatever goes wrong with it is a `DiskError`.  libnbd's module is the system's; it is only needed here.
"""

import errno
import fcntl
import json
import mmap
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

BLKROGET = 0x125E  #: the ioctl that says whether a block device is read-only
SYSTEM_MODULES = "/usr/lib/python3/dist-packages"


class DiskError(Exception):
    """The disk did not do it; what was under way may have happened or not."""


class Refused(DiskError):
    """The disk is read-only, and says so."""


class Disk(Protocol):
    """What every holder can do."""

    @property
    def read_only(self) -> bool: ...
    def read(self, count: int, offset: int) -> bytes: ...
    def write(self, data: bytes, offset: int) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


def load() -> Any:
    """libnbd's module; `ImportError` where the system has none for this Python."""
    sys.path.append(SYSTEM_MODULES)
    try:
        import nbd

        return nbd
    finally:
        sys.path.remove(SYSTEM_MODULES)


def connect(info: Mapping[str, Any]) -> Disk:
    """The disk that `connection_info` speaks of."""
    if info["driver_volume_type"] == "nbd":
        return Network(str(info["uri"]), str(info["tls_psk"]) if info.get("tls_psk") else None)
    if info["driver_volume_type"] == "local":
        return Device(str(info["device_path"]), str(info["attachment_id"]))
    raise DiskError(f"unknown kind of connection: {json.dumps(info)[:200]}")


class Network:
    """An NBD connection."""

    def __init__(self, uri: str, key: str | None) -> None:
        self._nbd = load()
        self._handle: Any = self._nbd.NBD()
        self._handle.set_strict_mode(0)  # so that a write to what is read-only is the server's to refuse
        try:
            self._handle.set_uri_allow_local_file(True)
            if key is not None:
                self._with_key(uri, key)
            else:
                self._handle.connect_uri(uri)
        except self._nbd.Error as error:
            self.close()
            raise DiskError(f"connect: {error.string}") from None

    def _with_key(self, uri: str, key: str) -> None:
        """The key is in a file for as long as the handshake takes."""
        user = uri.split("//", 1)[1].split("@", 1)[0]
        with tempfile.NamedTemporaryFile("w", prefix="chaos-key-") as file:
            file.write(f"{user}:{key}\n")
            file.flush()
            self._handle.connect_uri(f"{uri}?tls-psk-file={file.name}")

    @property
    def read_only(self) -> bool:
        """Whether the server says so."""
        return bool(self._handle.is_read_only())

    def read(self, count: int, offset: int) -> bytes:
        return bytes(self._do(self._handle.pread, count, offset))

    def write(self, data: bytes, offset: int) -> None:
        self._do(self._handle.pwrite, data, offset)

    def flush(self) -> None:
        self._do(self._handle.flush)

    def _do(self, verb: Any, *words: Any) -> Any:
        try:
            return verb(*words)
        except self._nbd.Error as error:
            kind = Refused if error.errnum in (errno.EPERM, errno.EROFS) else DiskError
            raise kind(f"{verb.__name__}: {error.string}") from None

    def close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.__del__()  # this version of the module has no `close`
            del handle._o


class Device:
    """A block device of this host, past its page cache."""

    def __init__(self, path: str, attachment: str) -> None:
        """Open it, and make sure that it is still this attachment's: names of devices are used again."""
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)
        except OSError as error:
            raise DiskError(f"open: {error}") from None
        backing = Path(f"/sys/block/{Path(path).name}/loop/backing_file")
        if not backing.exists() or attachment not in backing.read_text():
            self.close()
            raise DiskError(f"{path} is not attachment {attachment}'s any more")
        self._read_only = bool(int.from_bytes(fcntl.ioctl(self._fd, BLKROGET, bytes(4)), sys.byteorder))

    @property
    def read_only(self) -> bool:
        """Whether the kernel says so."""
        return self._read_only

    def read(self, count: int, offset: int) -> bytes:
        with mmap.mmap(-1, count) as page:  # direct I/O asks for aligned memory
            try:
                done = os.preadv(self._fd, [page], offset)
            except OSError as error:
                raise DiskError(f"read: {error}") from None
            if done != count:
                raise DiskError(f"read: {done} of {count} bytes")
            return bytes(page)

    def write(self, data: bytes, offset: int) -> None:
        with mmap.mmap(-1, len(data)) as page:
            page.write(data)
            try:
                done = os.pwritev(self._fd, [page], offset)
            except OSError as error:
                raise DiskError(f"write: {error}") from None
            if done != len(data):
                raise DiskError(f"write: {done} of {len(data)} bytes")

    def flush(self) -> None:
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise DiskError(f"flush: {error}") from None

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
