"""What Moorage needs of this machine: programs, kernel features, rights; whether each is there, and how to get it."""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from moorage.config import Config
from moorage.drivers.programs import ENVIRONMENT

PATIENCE_S = 10.0


@dataclass(frozen=True)
class Program:
    """A program, the Debian package that has it, and what cannot be done without it."""

    name: str
    package: str
    without: str
    version: tuple[str, ...] = ("--version",)


# fmt: off
PROGRAMS = (
    Program("qemu-img",            "qemu-utils",          "no volume can be made"),
    Program("qemu-storage-daemon", "qemu-system-common",  "no volume can be attached"),
    Program("nbdkit",              "nbdkit",              "no volume can be attached but by `moorage attach`"),
    Program("nbdfuse",             "libnbd-bin",          "no volume becomes a block device of this host"),
    Program("losetup",             "mount",               "no volume becomes a block device of this host"),
    Program("umount",              "mount",               "no volume becomes a block device of this host"),
)
KERNEL = (
    ("/dev/loop-control",          "loop devices",        "no volume becomes a block device of this host"),
    ("/dev/fuse",                  "FUSE",                "no volume becomes a block device of this host"),
)
# fmt: on


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `fine` is None where it is as it is, and nothing is wrong."""

    what: str
    fine: bool | None
    said: str


def checks(config: Config) -> Iterator[Check]:
    """Everything that is looked at, the machine first, then the state directory."""
    for program in PROGRAMS:
        path = shutil.which(program.name, path=ENVIRONMENT["PATH"])
        if path is None:
            yield Check(program.name, False, f"missing (apt install {program.package}): {program.without}")
        else:
            yield Check(program.name, True, _version(path, program))
    for device, feature, without in KERNEL:
        there = os.path.exists(device)
        yield Check(feature, there, device if there else f"{device} is missing in this kernel or container: {without}")
    if os.geteuid() != 0:
        yield Check(
            "root", None, "not root: no volume becomes a block device of this host, and daemons run as this user"
        )
    yield _reach(config)


def _version(path: str, program: Program) -> str:
    try:
        words = [path, *program.version]
        said = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, env=ENVIRONMENT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "does not say its version"
    return (said.stdout.splitlines() or ["does not say its version"])[0][:60]


def _reach(config: Config) -> Check:
    """Whether storage daemons, which are not root, get to the state directory."""
    uid = config.rights.daemon_uid if os.geteuid() == 0 else os.geteuid()
    for directory in reversed([config.state.resolve(), *config.state.resolve().parents]):
        if directory.exists() and not _passable(directory, uid):
            remedy = f"chmod o+x {directory}" if directory != config.state.resolve() else "start Moorage once"
            return Check("rights", False, f"storage daemons (uid {uid}) cannot pass through {directory} ({remedy})")
    return Check("rights", True, f"storage daemons (uid {uid}) get to {config.state}")


def _passable(directory: Path, uid: int) -> bool:
    found = directory.stat()
    if uid == 0:
        return True
    if found.st_uid == uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == uid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)
