"""
What the machine says about devices: mounts, loop devices and processes, read from the kernel and from nowhere else.

Everything here only looks.  What vanishes while it is looked at was not there.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from moorage.drivers.processes import Identity

_BLOCK = Path("/sys/block")
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """One line of the mount table."""

    number: str  #: "7:0", major and minor
    point: str
    source: str
    kind: str


@dataclass(frozen=True)
class Loop:
    """One loop device in use."""

    device: str  #: "/dev/loop0"
    backing: str  #: the file that it lies on; "/" when that was unmounted from under it
    read_only: bool
    leaving: bool  #: it goes away by itself when its last user closes it


@dataclass(frozen=True)
class Program:
    """One process: who it is, and the words that it was started with."""

    identity: Identity
    words: tuple[str, ...]


def mounts() -> list[Mount]:
    """The mount table of this process's namespace."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, source, *_) = before.split(), after.split()
        found.append(Mount(number=fields[2], point=_plain(fields[4]), source=_plain(source), kind=kind))
    return found


def _plain(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)


def loops() -> Iterator[Loop]:
    """The loop devices in use."""
    for directory in _BLOCK.glob("loop*"):
        with contextlib.suppress(OSError):
            backing = (directory / "loop/backing_file").read_text().rstrip("\n")
            yield Loop(
                device=f"/dev/{directory.name}",
                backing=backing,
                read_only=(directory / "ro").read_text().strip() == "1",
                leaving=(directory / "loop/autoclear").read_text().strip() == "1",
            )


def mounted(device: str, table: list[Mount]) -> list[str]:
    """Where the device or a partition of it is mounted, the last one first."""
    directory = _BLOCK / Path(device).name
    numbers, paths = set(), {device}
    for place in (directory, *directory.glob(f"{directory.name}p*")):
        with contextlib.suppress(OSError):
            numbers.add((place / "dev").read_text().strip())
            paths.add(f"/dev/{place.name}")
    return [mount.point for mount in reversed(table) if mount.number in numbers or _btrfs_on(mount, paths)]


def _btrfs_on(mount: Mount, paths: set[str]) -> bool:
    """btrfs shows a number of its own in the mount table."""
    return mount.kind == "btrfs" and mount.source in paths


def programs(name: str) -> Iterator[Program]:
    """This user's processes that are, or are about to be, the program `name`."""
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        try:
            words = (directory / "cmdline").read_bytes().decode(errors="surrogateescape").split("\0")
            if directory.stat().st_uid == os.geteuid() and any(Path(word).name == name for word in words):
                yield Program(Identity.of(int(directory.name)), tuple(words))
        except (OSError, ValueError):
            continue
