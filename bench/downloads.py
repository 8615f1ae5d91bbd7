"""One file from several servers, whole and in parts, over one connection each, in turns."""

import hashlib
import http.client
import os
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from bench.load import cpu_seconds, family

MIB = 1 << 20
NGINX = "nginx"
TURN_S = 3.0  #: after which a turn has no more requests
Part = tuple[int, int] | None  #: first byte and last; None: the whole
Kind = tuple[str, int, int]

#: What is asked for: bytes of a part (0: the whole) and how many of them, at most, in a turn.
KINDS: Sequence[Kind] = (
    ("whole", 0, 1),
    ("parts of 8 MiB", 8 * MIB, 64),
    ("parts of 1 MiB", MIB, 64),
    ("single bytes", 1, 300),
)


@dataclass
class Source:
    """A server of the file, over one connection, and what it took."""

    name: str
    host: str
    url: str
    pid: int
    headers: dict[str, str] = field(default_factory=dict)
    took: list[float] = field(default_factory=list)
    paid: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._connection, self._buffer = http.client.HTTPConnection(self.host, timeout=600), bytearray(MIB)

    def check(self, file: Path) -> None:
        """The file comes as it is; also the first request, which may have to open what later ones find open."""
        self._connection.request("GET", self.url, headers=self.headers)
        reply, seen = self._connection.getresponse(), hashlib.md5(usedforsecurity=False)
        while n := reply.readinto(self._buffer):
            seen.update(memoryview(self._buffer)[:n])
        with file.open("rb") as source:
            assert hashlib.file_digest(source, "md5").digest() == seen.digest(), self.name

    def turn(self, parts: Iterable[Part]) -> None:
        """Ask for the parts, one after the other, as many as the time allows, over a connection that is in use."""
        self._connection.close()  # who is slow lets others wait for longer than a server keeps a connection
        self._fetch((0, 0))
        servers, count, until = family([self.pid]), 0, time.perf_counter() + TURN_S
        before = cpu_seconds(servers)
        for part in parts:
            began = time.perf_counter()
            self._fetch(part)
            self.took.append(time.perf_counter() - began)
            count += 1
            if time.perf_counter() > until:
                break
        self.paid.append((cpu_seconds(servers) - before) / count)

    def _fetch(self, part: Part) -> None:
        more = {} if part is None else {"Range": f"bytes={part[0]}-{part[1]}"}
        self._connection.request("GET", self.url, headers={**self.headers, **more})
        reply, count = self._connection.getresponse(), 0
        assert reply.status == (200 if part is None else 206), reply.status
        while n := reply.readinto(self._buffer):
            count += n
        assert part is None or count == part[1] - part[0] + 1, (self.name, part, count)


def head(out: TextIO | None = None) -> None:
    """Begin the table."""
    print(f"\n| what | from | p50 ms | MiB/s | of nginx | server CPU ms | load |\n{'|---' * 7}|", file=out)


def compare(
    sources: Sequence[Source], file: Path, rounds: int, kinds: Sequence[Kind] = KINDS, out: TextIO | None = None
) -> None:
    """Take turns with each kind of request; print the table's rows."""
    size = file.stat().st_size
    for source in sources:
        source.check(file)
    for what, step, most in kinds:
        for source in sources:
            source.took, source.paid = [], []
        for n in range(rounds):
            for source in sources:
                source.turn(parts(size, step, most, n))
        _print(what, step or size, sources, out)


def parts(size: int, step: int, most: int, turn: int) -> list[Part]:
    """What is asked for in a turn: the whole, or parts of `step` bytes, other ones each time where there are more."""
    if not step:
        return [None]
    count = max(1, size // step)
    first = turn * most
    return [(n % count * step, n % count * step + step - 1) for n in range(first, first + min(most, count))]


def _print(what: str, step: int, sources: Sequence[Source], out: TextIO | None) -> None:
    nginx = [statistics.median(source.took) for source in sources if source.name == NGINX]
    for source in sources:
        p50 = statistics.median(source.took)
        ratio = f"{nginx[0] / p50:.0%}" if nginx else ""
        rate = f"{step / MIB / p50:.0f}" if step > 1 else ""
        cpu, load = 1000 * statistics.median(source.paid), os.getloadavg()[0]
        row = f"| {what} | {source.name} | {1000 * p50:.2f} | {rate} | {ratio} | {cpu:.2f} | {load:.0f} |"
        print(row, file=out, flush=True)
