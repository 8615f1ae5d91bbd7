"""
The keys that tokens are made with: one file, 0600, replaced whole, looked at before each use.

The first key is the next one: every process knows it already and accepts tokens made with it.  The second makes tokens;
the others are retired, and kept until no token that they made can be valid.  So several hosts that share the file by
copying it may do so at leisure between two rotations.
"""

import fcntl
import json
import os
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

FILE = "tokens.json"


@dataclass(frozen=True)
class Key:
    """One key, and when it made its last token (seconds since 1970); None while it is not retired."""

    key: str
    retired_at: int | None = None


class Keys:
    """The key file in a directory; made when it is first looked for."""

    def __init__(self, directory: Path, kept_s: float) -> None:
        self._path, self._kept_s = directory / FILE, kept_s
        self._guard = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._maker: Fernet
        self._readers: MultiFernet

    def seal(self, payload: bytes) -> str:
        """`payload`, encrypted and signed, as text for a header."""
        return self._current()[0].encrypt(payload).decode().rstrip("=")

    def unseal(self, text: str) -> bytes | None:
        """What `seal` made `text` of, by any key that is still kept; None when it is of none."""
        if len(text) > 1024 or not text.isascii():
            return None
        try:
            return self._current()[1].decrypt(text + "=" * (-len(text) % 4))
        except InvalidToken:
            return None

    def rotate(self) -> None:
        """New tokens are made with the next key; every process notices at its next use of the file."""
        with _exclusively(self._path):
            if not self._path.exists():
                self._write(_fresh())
            following, maker, *retired = _read(self._path)
            now = int(time.time())
            kept = [k for k in retired if k.retired_at is not None and k.retired_at + self._kept_s > now]
            self._write([_new(), following, Key(maker.key, now), *kept])

    def stamp(self) -> tuple[int, int, int]:
        """What changes when the file does."""
        try:
            stat = os.stat(self._path)
        except FileNotFoundError:
            with _exclusively(self._path):
                if not self._path.exists():
                    self._write(_fresh())
            stat = os.stat(self._path)
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def _current(self) -> tuple[Fernet, MultiFernet]:
        """Who makes and who reads tokens, by the file as it is now."""
        seen = self.stamp()
        with self._guard:
            if seen != self._seen:
                fernets = [Fernet(k.key) for k in _read(self._path)]
                self._maker, self._readers, self._seen = fernets[1], MultiFernet(fernets), seen
            return self._maker, self._readers

    def _write(self, keys: list[Key]) -> None:
        write_secret(self._path, json.dumps([asdict(k) for k in keys], indent=1) + "\n")


def write_secret(path: Path, text: str) -> None:
    """`path` holds `text`, for its owner alone; a reader sees the old file or the new one, also after a crash."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.rename(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class _exclusively:
    """Nobody else, on this host, changes the file meanwhile."""

    def __init__(self, path: Path) -> None:
        self._lock = path.with_suffix(".lock")

    def __enter__(self) -> None:
        self._lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._handle = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)

    def __exit__(self, *exc: object) -> None:
        os.close(self._handle)


def _new() -> Key:
    return Key(Fernet.generate_key().decode())


def _fresh() -> list[Key]:
    return [_new(), _new()]


def _read(path: Path) -> list[Key]:
    return [Key(**k) for k in json.loads(path.read_text())]
