"""
Disks in files that nobody writes to any more, read as what their user would see, each with all that it lies on.

What a file lies on, its own header says, which only we and QEMU write; of which format it is, its caller, never its
content.  Every file of a chain is named to the reader with its format, so that it opens nothing by itself.
"""

import contextlib
import errno
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from moorage.drivers.backends.files import headers, nbd
from moorage.drivers.backends.files.copies import book
from moorage.drivers.programs import COMPLAINT_LIMIT_BYTES, HELPER, SURROUNDINGS, Account, becoming, find, sentence
from moorage.drivers.ties import Tie

log = logging.getLogger(__name__)

FAMILIES = ("images", "volumes", "copies")  #: where the files of a chain are, below the root
LONGEST = 200
CHUNK_BYTES = 1 << 20
PATIENCE_S = 60.0
MEMORY_BYTES = 2 << 30  #: mostly address space, for the stacks of its threads
TIME_S = 14 * 86400

# The reader inherits its listening socket as a service manager would give it, so that there is no moment to wait for.
LISTENING = 'exec 3<&0 </dev/null; exec "$@"'


class Astray(Exception):
    """A file of the chain is not what it should be, or somewhere else."""


def size(path: Path) -> int:
    """Bytes of the disk in the qcow2 file `path`."""
    return _header(path).size


def node(root: Path, path: Path, format: str, depth: int = 0) -> dict[str, Any]:
    """The disk in `path` as QEMU's block node, everything below it named, and nothing outside of `root`."""
    real = Path(os.path.normpath(path))
    if depth > LONGEST or real.relative_to(root).parts[0] not in FAMILIES:
        raise Astray(f"{real} is not to be read")
    if real.relative_to(root).parts[0] == "copies" and not book.whole(real):
        raise Astray(f"{real} is not whole yet")
    file = {"driver": "file", "filename": str(real), "read-only": True}
    if format == "raw":
        return {"driver": "raw", "read-only": True, "file": file}
    header = _header(real)
    below = None
    if header.backing is not None:
        if header.backing_format not in ("raw", "qcow2") or os.path.isabs(header.backing):
            raise Astray(f"{real} lies on what it does not name well")
        below = node(root, real.parent / header.backing, header.backing_format, depth + 1)
    return {"driver": "qcow2", "read-only": True, "file": file, "backing": below}


def _header(path: Path) -> headers.Header:
    with path.open("rb") as file:
        try:
            return headers.parse(file.read(headers.READ_BYTES))
        except headers.BadHeader as error:
            raise Astray(f"{path}: {error}") from error


class Reader(Iterator[bytes]):
    """
    The bytes of a disk from `offset` on, at most `length` of them, read by a process of their own, which ends with this
    object, or with this process.
    """

    def __init__(self, disk: dict[str, Any], offset: int, length: int, account: Account | None = None) -> None:
        self._at, self._end = offset, offset + length
        self._process: subprocess.Popen[bytes] | None = None
        self._client: nbd.Client | None = None
        program = find("qemu-nbd")
        folder = Path(tempfile.mkdtemp(prefix="moorage-"))
        tie = Tie()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listening:
                listening.bind(str(folder / "disk"))
                listening.listen(1)
                self._process = _start(program, listening.fileno(), disk, account, tie)
            self._client = nbd.Client(folder / "disk", "", PATIENCE_S)
            tie.stands()
        except nbd.Broken as error:
            log.warning("a reader does not begin: %s", self._complaint() or error)
            raise OSError(errno.EIO, "the reader does not begin") from error
        except BaseException:
            self.close()
            raise
        finally:
            tie.close()
            shutil.rmtree(folder, ignore_errors=True)

    def __next__(self) -> bytes:
        wanted = min(CHUNK_BYTES, self._end - self._at)
        if wanted <= 0 or self._client is None:
            self.close()
            raise StopIteration
        try:
            chunk = self._client.request(nbd.READ, self._at, wanted)
        except (nbd.Broken, nbd.Failed) as error:
            self.close()
            log.warning("a reader failed: %s", error)
            raise OSError(errno.EIO, "the reader failed") from error
        self._at += len(chunk)
        return chunk

    def _complaint(self) -> str:
        """What the reader, which has failed, has said of that."""
        process = self._process
        if process is None or process.stderr is None:
            return ""
        _kill(process)
        said = sentence(process.stderr.read(COMPLAINT_LIMIT_BYTES))
        self.close()
        return said

    def close(self) -> None:
        """No process is left. Twice is fine."""
        client, self._client = self._client, None
        if client is not None:
            client.__exit__()
        process, self._process = self._process, None
        if process is not None:
            _kill(process)
            process.wait()
            if process.stderr is not None:
                process.stderr.close()

    def __del__(self) -> None:
        self.close()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """The reader and the shell before it are gone, or about to be: they only read."""
    if process.returncode is None:  # nobody else has its number as long as it is not buried
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _start(
    program: str, listening: int, disk: dict[str, Any], account: Account | None, tie: Tie
) -> "subprocess.Popen[bytes]":
    limits = [str(MEMORY_BYTES // 1024), str(TIME_S), "0"]
    words = [program, "--read-only", "--export-name=", "json:" + json.dumps(disk)]
    reader = ["/bin/sh", "-c", LISTENING, "sh", *tie.command(words, "<&1")]
    return subprocess.Popen(
        [*becoming(account), "/bin/sh", "-c", HELPER, "sh", *limits, *reader],
        stdin=listening,
        stdout=tie.end,
        stderr=subprocess.PIPE,
        **SURROUNDINGS,
    )
