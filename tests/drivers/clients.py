"""Real NBD clients for tests: libnbd's own module, which the system's Python has, and its command-line programs."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from moorage.volumes.backend import Connection

SYSTEM_MODULES = "/usr/lib/python3/dist-packages"


def _load() -> Any:
    sys.path.append(SYSTEM_MODULES)
    try:
        return pytest.importorskip(
            "nbd", reason="needs python3-libnbd, for this version of Python", exc_type=ImportError
        )
    finally:
        sys.path.remove(SYSTEM_MODULES)


libnbd = _load()
ClientError = libnbd.Error


@contextmanager
def client(connection: Connection, key: Path | None = None) -> Iterator[Any]:
    """A connected libnbd handle."""
    handle = libnbd.NBD()
    handle.set_uri_allow_local_file(True)
    handle.connect_uri(connection.uri + (f"?tls-psk-file={key}" if key else ""))
    try:
        yield handle
    finally:
        handle.__del__()  # this version of the module has no `close`
        del handle._o


def listed(uri: str) -> subprocess.CompletedProcess[str]:
    """What `nbdinfo --list` says to a stranger."""
    argv = ["nbdinfo", "--list", "--json", uri]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
