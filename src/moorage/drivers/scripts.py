"""
Scripts: programs of our own that run in processes of their own, as they were when this process began.

The files that they come from may be replaced meanwhile, by an upgrade in place, or be gone: what a process starts is of
the version that the process itself is of.
"""

import errno
import fcntl
import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

FIRST_FREE_DESCRIPTOR = 10  #: a shell that a program is started with takes those below
NEVER_A_PROGRAM = 0x8  #: MFD_NOEXEC_SEAL, which Python has no name for; some machines demand it
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Opened(NamedTuple):
    """What a process inherits, and what it calls it."""

    descriptor: int
    path: str


class Script:
    """A module that is run by itself, with the neighbours that it imports; it is read once, here."""

    def __init__(self, main: Path, *neighbours: Path) -> None:
        self.name = main.stem
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("__main__.py", main.read_bytes())
            for neighbour in neighbours:
                archive.writestr(neighbour.name, neighbour.read_bytes())
        self._packed = packed.getvalue()

    @contextmanager
    def opened(self) -> Iterator[Opened]:
        """The script where a process that inherits the descriptor finds it: in memory, and nobody can change it."""
        low = _in_memory(self.name)
        try:
            os.write(low, self._packed)
            fcntl.fcntl(low, fcntl.F_ADD_SEALS, SEALS)
            high = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE_DESCRIPTOR)
        finally:
            os.close(low)
        try:
            yield Opened(high, f"/proc/self/fd/{high}")
        finally:
            os.close(high)


def _in_memory(name: str) -> int:
    wanted = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, wanted | NEVER_A_PROGRAM)
    except OSError as error:
        if error.errno != errno.EINVAL:  # what kernels before 6.3 say of a word that they do not know
            raise
        return os.memfd_create(name, wanted)
