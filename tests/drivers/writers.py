"""Clients that write numbered blocks and remember exactly which of them were acknowledged."""

import random
import struct
import threading

from moorage.volumes.backend import Connection
from tests.drivers.clients import ClientError, client

BLOCK = 4096
CONNECTIONS = 4


def block(number: int) -> bytes:
    """What the write with `number` puts there; never zeroes."""
    return struct.pack("<Q", number) * (BLOCK // 8)


class Writer(threading.Thread):
    """Writes at random places of its own share of the volume until the connection breaks."""

    def __init__(self, connection: Connection, share: int, size: int) -> None:
        super().__init__(daemon=True)
        self._connection, self.share = connection, share
        self._offsets = range(share * BLOCK, size, CONNECTIONS * BLOCK)
        self.acknowledged: dict[int, int] = {}
        self.under_way: tuple[int, int] | None = None
        self.ended = False

    def run(self) -> None:
        choice = random.Random(self._offsets[0])
        number = 0
        with client(self._connection) as nbd:
            while True:
                number += 1
                offset = choice.choice(self._offsets)
                self.under_way = (offset, number)
                try:
                    nbd.pwrite(block(number), offset)
                except ClientError:
                    self.ended = True
                    return
                self.acknowledged[offset] = number
                self.wrote(offset)

    def wrote(self, offset: int) -> None:
        """Called after each write that was acknowledged."""


class Writers:
    """Several of them, and the check of what they were told."""

    def __init__(self, connection: Connection, size: int, kind: type[Writer] = Writer) -> None:
        self.all = [kind(connection, share, size) for share in range(CONNECTIONS)]
        for writer in self.all:
            writer.start()

    @property
    def acknowledged(self) -> int:
        return sum(len(writer.acknowledged) for writer in self.all)

    def join(self) -> None:
        for writer in self.all:
            writer.join(30)
            assert writer.ended

    def missing(self, connection: Connection) -> list[int]:
        """The offsets whose acknowledged block is not there; one that was under way may or may not have landed."""
        lost = []
        with client(connection) as nbd:
            for writer in self.all:
                for offset, number in writer.acknowledged.items():
                    allowed = [block(number)]
                    if writer.under_way is not None and writer.under_way[0] == offset:
                        allowed.append(block(writer.under_way[1]))
                    if nbd.pread(BLOCK, offset) not in allowed:
                        lost.append(offset)
        return lost
