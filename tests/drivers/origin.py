"""Somewhere far away that copies get their bytes from: it counts, and does what a test wants it to."""

import hashlib
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator

from moorage.core.errors import Problem
from moorage.images.content.digests import Digests
from moorage.images.store import StoreUnavailable
from moorage.volumes.backend import CHUNK_BYTES, Supply


class Origin(Supply):
    """Bytes, and how often each chunk of them was asked for."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked: Counter[int] = Counter()
        self.heard: list[Problem | None] = []
        self.down = self.garbled = False
        self.slow_s = 0.0
        self.gate = threading.Event()
        self.gate.set()

    def open(self, copy: str, offset: int, length: int) -> Iterator[bytes]:
        self.asked[offset // CHUNK_BYTES] += 1
        self.gate.wait(30)
        time.sleep(self.slow_s)
        if self.down:
            raise StoreUnavailable(store="far", why="the test says so")
        data = self.data[offset : offset + length]
        if self.garbled:
            data = hashlib.sha256(data).digest() + data[32:]
        yield from (data[at : at + 65536] for at in range(0, len(data), 65536))

    def told(self, copy: str, problem: Problem | None) -> None:
        self.heard.append(problem)


def digests_of(data: bytes) -> bytes:
    """As they are recorded at upload."""
    digests = Digests()
    digests.feed(data)
    return digests.finish()


def noise(size: int, seed: int) -> bytes:
    """Bytes, some of them zeros, no two chunks the same."""
    dice = random.Random(seed)
    data = bytearray(dice.randbytes(size))
    data[1 << 20 : 2 << 20] = bytes(1 << 20)
    return bytes(data)
