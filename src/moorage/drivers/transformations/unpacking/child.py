"""
The process that unpacks: standard input to standard output, and no way to anything else.

Started by `process`, as a script; it imports nothing of ours but its neighbour. Once it has loaded what it needs, it
gives up for good: opening any file or socket, starting any process, writing any file, more memory, and being root.
"""

import ctypes
import lzma
import os
import resource
import sys
import zlib
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent))
from zipped import BAD, BadZip, ZipDecompressor  # type: ignore[import-not-found]

STEP_BYTES = 256 << 10
PIECE_BYTES = 1 << 20
LARGEST_WINDOW_LOG = 27  #: of zstd: 128 MiB
XZ_MEMORY_BYTES = 160 << 20
NO_NEW_PRIVS = 38


class Bad(Exception):
    """What is wrong with the data."""


class Gzip:
    """One member of a gzip file, like the other decompressors of the standard library."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)
        self._waiting = b""
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        found = self._inner.decompress(self._waiting + data, max_length)
        self._waiting = self._inner.unconsumed_tail
        self.needs_input = not self._waiting and len(found) < max_length
        return found


def machine(packing: str) -> Any:
    """What makes decompressors for one member, frame or stream after the other."""
    if packing == "gzip":
        return Gzip
    if packing == "xz":
        return lambda: lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)
    if packing == "zstd":
        from backports import zstd

        options = {int(zstd.DecompressionParameter.window_log_max): LARGEST_WINDOW_LOG}
        return lambda: zstd.ZstdDecompressor(options=options)
    return ZipDecompressor


def confine(memory_bytes: int, cpu_s: int, uid: int) -> None:
    """Give up everything but the three descriptors that are open."""
    setting = resource.setrlimit
    setting(resource.RLIMIT_CORE, (0, 0))
    setting(resource.RLIMIT_FSIZE, (0, 0))
    setting(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    setting(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    ctypes.CDLL(None).prctl(NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    os.closerange(3, 1 << 20)  # this script
    setting(resource.RLIMIT_NPROC, (0, 0))
    setting(resource.RLIMIT_NOFILE, (3, 3))  # nothing is opened any more: no file, no socket, no pipe


def unpack(make: Any) -> None:
    """All members one after the other, as the tools of each format have it."""
    inner, data = make(), b""
    while True:
        found = inner.decompress(data, PIECE_BYTES)
        if not (found or data or inner.eof or inner.needs_input):
            raise Bad("it does not get on")  # what neither gives nor wants anything would go on for ever
        emit(found)
        data = b""
        if inner.eof:
            data = inner.unused_data or os.read(0, STEP_BYTES)
            data = padding_skipped(data)
            if not data:
                return
            inner = make()
        elif inner.needs_input:
            data = os.read(0, STEP_BYTES)
            if not data:
                if hasattr(inner, "finish"):
                    inner.finish()
                    return
                raise Bad("it is cut short")


def padding_skipped(data: bytes) -> bytes:
    """What follows the zeros that tapes and tools put behind a member."""
    while data and not data.strip(b"\0"):
        data = os.read(0, STEP_BYTES)
    return data.lstrip(b"\0")


def emit(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def complain(what: bytes) -> int:
    """Say what is wrong with the data."""
    os.write(2, what)
    return int(BAD)


def main() -> int:
    packing, memory_bytes, cpu_s, uid = sys.argv[1], *map(int, sys.argv[2:5])
    try:
        make = machine(packing)
        make()  # whatever it loads, it loads now
        confine(memory_bytes, cpu_s, uid)
        unpack(make)
    except (Bad, BadZip) as bad:
        return complain(str(bad).encode())
    except MemoryError:
        return complain(b"it takes too much memory")
    except BrokenPipeError:
        return 0  # nobody wants any more
    except (zlib.error, lzma.LZMAError, EOFError, ValueError) as error:
        return complain(b"it takes too much memory" if "emory" in str(error) else b"it is damaged")
    except Exception as error:
        return complain(b"it is damaged" if type(error).__name__ == "ZstdError" else type(error).__name__.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
