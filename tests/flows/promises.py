"""
Clients that write, zero, discard and flush, and know of every block what it may hold after a death of the daemon.

Each block lies in a cluster of its own and is numbered by who wrote what: a lost write, a write that came back after it
was overwritten, and a discarded cluster that shows what lies below are all told apart.
"""

import fcntl
import mmap
import os
import random
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Protocol

from tests.drivers.clients import ClientError, libnbd

KIB, MIB = 1 << 10, 1 << 20
BLOCK, CLUSTER = 4 * KIB, 64 * KIB
ZEROES = 0  #: the number of a block that reads as zeroes
BLKDISCARD, BLKZEROOUT = 0x1277, 0x127F
LOST = (OSError, ClientError)  #: what a client sees of the death of his daemon


class Disk(Protocol):
    """A way to the volume's bytes."""

    def write(self, offset: int, data: bytes) -> None: ...
    def zero(self, offset: int, length: int) -> None: ...
    def trim(self, offset: int, length: int) -> None: ...
    def flush(self) -> None: ...
    def read(self, offset: int, length: int) -> bytes: ...
    def close(self) -> None: ...


class Device:
    """A block device of this host, past the page cache."""

    def __init__(self, path: str) -> None:
        self._buffer = mmap.mmap(-1, BLOCK)
        self._file = os.open(path, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)

    def write(self, offset: int, data: bytes) -> None:
        self._buffer[:] = data
        os.pwritev(self._file, [self._buffer], offset)

    def zero(self, offset: int, length: int) -> None:
        fcntl.ioctl(self._file, BLKZEROOUT, struct.pack("QQ", offset, length))

    def trim(self, offset: int, length: int) -> None:
        fcntl.ioctl(self._file, BLKDISCARD, struct.pack("QQ", offset, length))

    def flush(self) -> None:
        os.fsync(self._file)

    def read(self, offset: int, length: int) -> bytes:
        os.preadv(self._file, [self._buffer], offset)
        return self._buffer[:length]

    def close(self) -> None:
        os.close(self._file)


class Network:
    """An NBD client."""

    def __init__(self, uri: str) -> None:
        self._handle: Any = libnbd.NBD()
        self._handle.connect_uri(uri)

    def write(self, offset: int, data: bytes) -> None:
        self._handle.pwrite(data, offset)

    def zero(self, offset: int, length: int) -> None:
        self._handle.zero(length, offset)

    def trim(self, offset: int, length: int) -> None:
        self._handle.trim(length, offset)

    def flush(self) -> None:
        self._handle.flush()

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self._handle.pread(length, offset))

    def close(self) -> None:
        self._handle.__del__()  # this version of the module has no `close`
        del self._handle._o


class Patient:
    """A client's NBD proxy that connects again for a while, as hypervisors and nbdkit's retry filter do."""

    def __init__(self, uri: str, socket: Path, retries: int) -> None:
        socket.unlink(missing_ok=True)
        tries = (f"retries={retries}", "retry-delay=1", "retry-exponential=no")
        words = ("nbdkit", "-f", "-U", str(socket), "--filter=retry", "nbd", f"uri={uri}", *tries)
        self._process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        self.uri = f"nbd+unix:///?socket={socket}"
        deadline = time.monotonic() + 60
        while not socket.exists():
            assert self._process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def content(number: int) -> bytes:
    """What the write with `number` puts into a block."""
    return struct.pack("<Q", number) * (BLOCK // 8)


def number_of(data: bytes) -> int:
    """Which write a block shows; -1: none that there ever was."""
    number: int = struct.unpack_from("<Q", data)[0]
    return number if data == content(number) else -1


class Block:
    """What one block may hold."""

    def __init__(self, number: int) -> None:
        self.durable = {number}  #: since the last flush
        self.later: list[set[int]] = []  #: acknowledged after it, in order
        self.under_way: set[int] = set()  #: asked for, and neither confirmed nor refused

    def now(self) -> set[int]:
        """What it holds if nothing that was acknowledged is missing."""
        return self.later[-1] if self.later else self.durable

    def allowed(self, *, acknowledged: bool) -> set[int]:
        """What it may hold after a daemon's death: with all that was `acknowledged`, or only with what was flushed."""
        kept = self.now() if acknowledged else self.durable.union(*self.later)
        return kept | self.under_way

    def flushed(self) -> None:
        self.durable, self.later = self.now(), []


class Recorder(threading.Thread):
    """Changes blocks of its own until it is stopped or its disk fails, and remembers what it was told."""

    def __init__(self, disk: Disk, blocks: dict[int, Block], seed: str) -> None:
        super().__init__(daemon=True)
        self._disk, self._blocks, self._choice = disk, blocks, random.Random(seed)
        self._stop_asked = threading.Event()
        self.changes, self.failed = 0, False

    def run(self) -> None:
        try:
            while not self._stop_asked.is_set():
                self._change()
                self.changes += 1
        except LOST:
            self.failed = True

    def stop(self) -> None:
        """End; says whether the disk has failed."""
        self._stop_asked.set()
        self.join(60)
        assert not self.is_alive()

    def _change(self) -> None:
        kind = self._choice.choices(("write", "zero", "trim", "flush"), (80, 8, 8, 4))[0]
        if kind == "flush":
            self._disk.flush()
            for block in self._blocks.values():
                block.flushed()
            return
        offset = self._choice.choice(list(self._blocks))
        block = self._blocks[offset]
        if kind == "write":
            number = self._choice.getrandbits(63) | 1
            block.under_way = {number}
            self._disk.write(offset, content(number))
        elif kind == "zero":
            block.under_way = {ZEROES}
            self._disk.zero(offset, CLUSTER)
        else:
            block.under_way = block.now() | {ZEROES}
            self._disk.trim(offset, CLUSTER)
        block.later.append(block.under_way)
        block.under_way = set()


class Record:
    """A region of a volume and what it may hold, through all deaths of its daemon."""

    THREADS = 2

    def __init__(self, start: int, count: int, number: int = ZEROES) -> None:
        offsets = [start + index * CLUSTER for index in range(count)]
        self._shares = [{offset: Block(number) for offset in offsets[i :: self.THREADS]} for i in range(self.THREADS)]

    def begin(self, disks: list[Disk], seed: str) -> list[Recorder]:
        """Recorders at work."""
        found = [Recorder(d, b, f"{seed}-{i}") for i, (d, b) in enumerate(zip(disks, self._shares, strict=True))]
        for recorder in found:
            recorder.start()
        return found

    def wrong(self, disk: Disk, *, acknowledged: bool) -> list[str]:
        """The blocks that hold what they may not; from here on, what they do hold is known and durable."""
        found = []
        for share in self._shares:
            for offset, block in share.items():
                number, allowed = number_of(disk.read(offset, BLOCK)), block.allowed(acknowledged=acknowledged)
                if number not in allowed:
                    found.append(f"{offset}: {number}, not one of {sorted(allowed)}")
                share[offset] = Block(number)
        disk.flush()
        return found
