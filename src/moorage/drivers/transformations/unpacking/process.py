"""
Unpacks through a child process (`child`) that cannot do anything else, as a stream in both directions.

How much may come out is counted here, where nothing that is wrong with the child can falsify it.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from moorage.core.errors import TooLarge
from moorage.drivers.backends.files.rights import SANDBOX_ID
from moorage.drivers.programs import SURROUNDINGS, ProgramFailed
from moorage.drivers.scripts import Script
from moorage.drivers.transformations.unpacking import zipped
from moorage.drivers.transformations.unpacking.packing import PACKINGS, PackingRefused
from moorage.drivers.transformations.unpacking.zipped import BAD

CHILD = Script(Path(__file__).with_name("child.py"), Path(zipped.__file__))
MEMORY_LIMIT_BYTES = 512 << 20
CPU_LIMIT_S = 24 * 3600
RATIO = 2000  #: bytes that may come out for each that goes in; a disk of zeros takes a thousandth in gzip
FREE_BYTES = 1 << 30  #: what may come out whatever went in
_PIECE_BYTES = 1 << 20
_COMPLAINT_BYTES = 200


class Unpacker:
    """Unpacks as a stream, in flat memory: one child for each."""

    def __init__(self, ratio: int = RATIO, free_bytes: int = FREE_BYTES) -> None:
        self._ratio, self._free = ratio, free_bytes

    def unpack(self, packing: str, chunks: Iterator[bytes], limit: int | None = None) -> Iterator[bytes]:
        """
        What is in `chunks`, in pieces of at most 1 MiB. `TooLarge` where that is more than `limit` bytes, or out of all
        proportion; `PackingRefused` where it is damaged, cut short, or not exactly one file.
        """
        if packing not in PACKINGS:
            raise PackingRefused(packing=packing, reason="this kind is not known")
        feed = _Feed(chunks)
        process = _start(packing)
        threading.Thread(target=feed.run, args=(process,), name="unpack", daemon=True).start()
        size = 0
        try:
            for piece in _pieces(process):
                size += len(piece)
                if limit is not None and size > limit:
                    raise TooLarge(reason=f"More than {limit} bytes come out of the compressed image.")
                if size > max(self._free, feed.size * self._ratio):
                    raise TooLarge(
                        reason=f"More than {self._ratio} bytes come out of the image for each compressed one."
                    )
                yield piece
            process.wait()
            feed.settle()
            _judge(process, packing)
        finally:
            feed.stop()
            _end(process)


def _start(packing: str) -> "subprocess.Popen[bytes]":
    limits = (str(MEMORY_LIMIT_BYTES), str(CPU_LIMIT_S), str(SANDBOX_ID))
    with CHILD.opened() as script:
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", script.path, packing, *limits],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=(script.descriptor,),
            **SURROUNDINGS,
        )
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with contextlib.suppress(OSError):  # where all pipes together are large already
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIECE_BYTES)
    return process


def _pieces(process: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    assert process.stdout is not None
    while piece := os.read(process.stdout.fileno(), _PIECE_BYTES):
        yield piece


class _Feed:
    """Brings the compressed bytes to the child, on a thread of its own."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._stopped = False
        self._failure: BaseException | None = None
        self.size = 0

    def run(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        try:
            for chunk in self._chunks:
                if self._stopped:
                    return
                self.size += len(chunk)
                _write(process.stdin.fileno(), chunk)
        except BrokenPipeError:
            pass  # the child has seen enough, and says why
        except BaseException as failure:
            self._failure = failure  # known before the child sees the end of its input
        finally:
            process.stdin.close()

    def stop(self) -> None:
        self._stopped = True

    def settle(self) -> None:
        """Raise what went wrong with the source, which is not the child's fault."""
        if self._failure is not None:
            raise self._failure


def _write(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()


def _judge(process: "subprocess.Popen[bytes]", packing: str) -> None:
    """Raise what the child said of the data, or what ended it."""
    assert process.stderr is not None
    complaint = process.stderr.read(_COMPLAINT_BYTES).decode(errors="replace")
    if process.returncode == BAD:
        raise PackingRefused(packing=packing, reason=complaint)
    if process.returncode:
        raise ProgramFailed(program="the unpacking process", why=complaint or f"exit status {process.returncode}")
