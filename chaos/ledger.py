"""
The ledger: what one client wrote, what it was told, and so what must be there.

A client notes each line before it does something and after it was told of the outcome, in a file that outlives it; the
same lines, read again, make the same book, for the client's next incarnation and for the judge.  A client does one
thing at a time, and alone writes to its blocks, so that the order of lines is the order of writes.

What a block may hold follows from the promises of the data plane: what was flushed, or was there at a clean detach, and
every acknowledged write that was followed by no error.  After an error, acknowledged writes may be missing where the
head's mappings were in the daemon's memory (`careful` is false); elsewhere they may not.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.blocks import NEVER, writes_in


@dataclass
class Block:
    """What one block may hold, as numbers of writes."""

    durable: int = NEVER
    acked: list[int] = field(default_factory=list)  #: since then, oldest first
    unsure: list[int] = field(default_factory=list)  #: nobody said whether they were done

    def allowed(self, *, doubt: bool) -> set[int]:
        """Which writes may be seen there now."""
        sure = {self.durable, *self.acked} if doubt else {self.acked[-1] if self.acked else self.durable}
        return sure | set(self.unsure)

    def settle(self) -> None:
        """All that was acknowledged is durable."""
        if self.acked:
            self.durable, self.acked = self.acked[-1], []


@dataclass
class Region:
    """The blocks of one volume that one client writes."""

    volume: str
    careful: bool  #: an acknowledged write survives its daemon
    first: int = 0
    blocks: dict[int, Block] = field(default_factory=dict)
    mark: str = ""  #: what its blocks are marked with: the volume that all of its forebears were cloned from
    shared: bool = False
    size_gib: int = 1
    doubt: bool = False  #: acknowledged writes may have been lost, and the client was told of an error
    pending: tuple[int, int, int] | None = None  #: the write under way: number, first block, count
    gone: bool = False  #: the volume is to be deleted
    confirmed: bool = False  #: and that was answered
    attachment: str = ""

    def at(self, index: int) -> Block:
        return self.blocks.setdefault(index, Block())

    def allowed(self, index: int) -> set[int]:
        return self.at(index).allowed(doubt=self.doubt)

    def wrong(self, data: bytes, first: int) -> Iterator[str]:
        """What was read from block `first` on and may not be there."""
        for index, found in enumerate(writes_in(data, self.mark, first), first):
            if found not in self.allowed(index):
                allowed = sorted(self.allowed(index))
                yield f"volume {self.volume} block {index}: {found} is there, not one of {allowed}"

    def drop_pending(self) -> None:
        """The write under way may have been done, or be done yet."""
        if self.pending is not None:
            number, first, count = self.pending
            for index in range(first, first + count):
                self.at(index).unsure.append(number)
            self.pending = None


@dataclass
class Book:
    """All regions of one client, by volume, and what it has counted."""

    regions: dict[str, Region] = field(default_factory=dict)
    cycles: int = 0
    last_number: int = 0
    errors: int = 0
    asked: dict[str, str] = field(default_factory=dict)  #: volumes that were asked for under a key, perhaps in vain
    refused: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)  #: what the client itself saw was wrong
    landed: list[tuple[str, float, int]] = field(default_factory=list)  #: acknowledged: attachment, begun at, number
    _began: float = 0.0

    def apply(self, line: list[Any]) -> None:
        """Enter one line."""
        what, at, *rest = line
        getattr(self, f"_{what}")(at, *rest)

    def _start(self, at: float) -> None:
        """Whoever had the regions before was killed: nobody knows what was said to him last."""
        for region in self.regions.values():
            unsettled = region.pending is not None or any(block.acked for block in region.blocks.values())
            region.drop_pending()
            region.doubt = region.doubt or (unsettled and not region.careful)

    def _region(self, at: float, volume: str, careful: bool, first: int, shared: bool, size_gib: int) -> None:
        if volume not in self.regions:
            self.regions[volume] = Region(volume, careful, first=first, mark=volume, shared=shared, size_gib=size_gib)

    def _clone(self, at: float, source: str, volume: str, size_gib: int) -> None:
        """A clone has what its source had, whose next writes are no longer careful."""
        old = self.regions[source]
        new = self.regions[volume] = Region(volume, careful=False, mark=old.mark, size_gib=size_gib)
        new.doubt = old.doubt
        for index, block in old.blocks.items():
            new.blocks[index] = Block(block.durable, list(block.acked), list(block.unsure))

    def _careless(self, at: float, volume: str) -> None:
        self.regions[volume].careful = False

    def _ask(self, at: float, key: str, source: str) -> None:
        self.asked[key] = source

    def _made(self, at: float, key: str) -> None:
        self.asked.pop(key, None)

    def _size(self, at: float, volume: str, size_gib: int) -> None:
        self.regions[volume].size_gib = size_gib

    def _delete(self, at: float, volume: str) -> None:
        self.regions[volume].gone = True

    def _deleted(self, at: float, volume: str) -> None:
        self.regions[volume].confirmed = True

    def _attach(self, at: float, volume: str, attachment: str) -> None:
        self.regions[volume].attachment = attachment

    def _write(self, at: float, volume: str, number: int, first: int, count: int) -> None:
        self.regions[volume].pending = (number, first, count)
        self.last_number, self._began = max(self.last_number, number), at

    def _ack(self, at: float, volume: str) -> None:
        region = self.regions[volume]
        if region.pending is not None:
            number, first, count = region.pending
            region.pending = None
            for index in range(first, first + count):
                region.at(index).acked.append(number)
            self.landed.append((region.attachment, self._began, number))

    def _flush(self, at: float, volume: str) -> None:
        """Everything that was acknowledged is durable, whatever died before."""
        for block in self.regions[volume].blocks.values():
            block.settle()

    def _clean(self, at: float, volume: str) -> None:
        """The detach was answered, for the generation in which all of it was written."""
        if not self.regions[volume].doubt:
            self._flush(at, volume)

    def _error(self, at: float, volume: str, why: str) -> None:
        region = self.regions[volume]
        region.drop_pending()
        region.doubt = region.doubt or not region.careful
        self.errors += 1

    def _found(self, at: float, volume: str, first: int, numbers: list[int], fenced: bool) -> None:
        """This is there; what else might have been is not. Without a fence, an unanswered write may land yet."""
        region = self.regions[volume]
        for index, number in enumerate(numbers, first):
            block = region.at(index)
            block.acked = [number] if number != block.durable else []
            block.unsure = [] if fenced else block.unsure
        region.doubt = False

    def _cycle(self, at: float) -> None:
        self.cycles += 1

    def _refuse(self, at: float, what: str) -> None:
        self.refused.append(what)

    def _broken(self, at: float, what: str) -> None:
        self.broken.append(what)


class Ledger:
    """A book that is kept in a file."""

    def __init__(self, path: Path) -> None:
        self.book = read(path)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.note("start")

    def note(self, what: str, *words: Any) -> None:
        """Enter a line, in the file first."""
        line = [what, time.monotonic(), *words]
        os.write(self._fd, (json.dumps(line, separators=(",", ":")) + "\n").encode())
        self.book.apply(line)


def lines(path: Path) -> Iterator[list[Any]]:
    """The lines of a ledger's file; the last one may have been cut short by a kill."""
    if path.exists():
        for text in path.read_text().splitlines():
            try:
                yield json.loads(text)
            except ValueError:
                continue


def read(path: Path) -> Book:
    """The book that the file makes."""
    book = Book()
    for line in lines(path):
        book.apply(line)
    return book
