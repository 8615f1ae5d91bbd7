"""
Block devices by nbdfuse and loop: each attachment has a mount file, an nbdfuse process and a loop device of its own.

The mount file is named for the attachment, and mount table, loop device and process all name the mount file: nothing is
written down, everything is found again.  nbdfuse lives in a session of its own and never has the host lock.  What does
not name a mount file of ours is somebody else's and is never touched.
"""

import contextlib
import os
import re
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from moorage.core.errors import Refused, Unavailable
from moorage.drivers import daemons, programs
from moorage.drivers.connectors import machine
from moorage.drivers.connectors.machine import Loop, Mount, Program
from moorage.drivers.connectors.tools import Slow, Tools
from moorage.hosts.devices import Device, Devices, DevicesUnavailable

SERVER = "nbdfuse"
KEY = "?tls-psk-file="  #: in the URI of an export behind TLS, then the path of a file with the key
MOUNT_PATIENCE_S, TOOL_PATIENCE_S, END_PATIENCE_S = 10.0, 5.0, 5.0
LOOP_TRIES = 5
PAUSE_S, GLANCE_PATIENCE_S = 0.002, 1.0

_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# fmt: off
NEEDED = {
    # program     package on Debian
    "nbdfuse":    "libnbd-bin",
    "losetup":    "mount",
    "umount":     "mount",
    "sync":       "coreutils",
}
# fmt: on


class DeviceFailed(Unavailable):
    """The device of attachment {attachment} could not be made: {why}"""

    code = "device.failed"


class FlushFailed(Unavailable):
    """What was written to device {device} of attachment {attachment} could not be made durable: {why}"""

    code = "device.flush-failed"


class LoopDevices(Devices):
    """Keeps the mount files in `directory`; `lock` is the host lock's descriptor."""

    def __init__(self, directory: Path, lock: int | None = None) -> None:
        self._directory = directory
        self._tools = Tools(lock)
        self._turns: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)

    def obstacles(self) -> list[str]:
        """Why this host cannot make devices: a sentence each; none where it can."""
        found = []
        if os.geteuid() != 0:
            found.append("only root can make block devices")
        for program, package in NEEDED.items():
            try:
                programs.find(program)
            except programs.ProgramMissing:
                found.append(f"{program} is missing (apt install {package})")
        for path, what in (("/dev/loop-control", "loop devices"), ("/dev/fuse", "FUSE")):
            if not os.path.exists(path):
                found.append(f"the kernel (or this container) has no {what}: {path} is missing")
        return found

    def connect(self, attachment: str, uri: str, *, read_only: bool) -> Device:
        if obstacles := self.obstacles():
            raise DevicesUnavailable(why="; ".join(obstacles))
        path = self._path(attachment)
        with self._turns[attachment]:
            there = self._fitting(path, uri, read_only)
            if there is not None:
                return there
            self._remove(path)
            try:
                self._serve(path, uri, read_only)
                return self._loop(path, read_only)
            except BaseException as problem:
                self._remove(path)
                if isinstance(problem, Slow | _Failed | OSError):
                    raise DeviceFailed(attachment=attachment, why=_without(uri, str(problem))) from None
                raise

    def flush(self, attachment: str, patience_s: float = 5.0) -> None:
        path, deadline = self._path(attachment), time.monotonic() + patience_s
        table = machine.mounts()
        for loop in self._loops(path):
            points = [("-f", point) for point in machine.mounted(loop.device, table)]
            for words in (*points, (loop.device,)):
                left = max(0.1, deadline - time.monotonic())
                try:
                    why = self._tools.run("sync", *words, patience_s=left, locked=False)
                except Slow as problem:
                    why = str(problem)
                if why:
                    raise FlushFailed(attachment=attachment, device=loop.device, why=why)

    def disconnect(self, attachment: str) -> None:
        with self._turns[attachment]:
            self._remove(self._path(attachment))

    def present(self) -> Mapping[str, Device]:
        if not self._directory.is_dir():
            return {}
        table, loops, servers = machine.mounts(), list(machine.loops()), list(machine.programs(SERVER))
        return {
            str(uuid.UUID(path.name)): self._device(path, table, loops, servers)
            for path in self._paths(table, loops, servers)
        }

    def _path(self, attachment: str) -> Path:
        try:
            return self._directory / str(uuid.UUID(attachment))
        except ValueError:
            raise Refused(reason=f"{attachment!r} cannot have a device.") from None

    def _paths(self, table: list[Mount], loops: list[Loop], servers: list[Program]) -> set[Path]:
        words = (
            [mount.point for mount in table] + [loop.backing for loop in loops] + [w for s in servers for w in s.words]
        )
        near = {Path(word) for word in words if word.startswith(f"{self._directory}/")} | set(self._directory.iterdir())
        return {path for path in near if path.parent == self._directory and _NAME.fullmatch(path.name)}

    @staticmethod
    def _device(path: Path, table: list[Mount], loops: list[Loop], servers: list[Program]) -> Device:
        served = any(str(path) in server.words for server in servers) and any(
            mount.point == str(path) for mount in table
        )
        loop = next((loop for loop in loops if loop.backing == str(path)), None)
        if loop is None:
            return Device(path="", read_only=False, alive=False, mounted=None)
        points = machine.mounted(loop.device, table)
        return Device(loop.device, loop.read_only, alive=served, mounted=points[-1] if points else None)

    def _loops(self, path: Path) -> list[Loop]:
        return [loop for loop in machine.loops() if loop.backing == str(path)]

    def _servers(self, path: Path) -> Iterator[Program]:
        return (server for server in machine.programs(SERVER) if str(path) in server.words)

    def _fitting(self, path: Path, uri: str, read_only: bool) -> Device | None:
        """The device that there already is, if it is whole and of the same export."""
        servers, loops = list(self._servers(path)), self._loops(path)
        if len(servers) != 1 or not _reaches(servers[0], uri) or ("-r" in servers[0].words) != read_only:
            return None
        if [(loop.read_only, loop.leaving) for loop in loops] != [(read_only, False)]:
            return None
        device = self._device(path, machine.mounts(), loops, servers)
        return device if device.alive else None

    def _serve(self, path: Path, uri: str, read_only: bool) -> None:
        """Leave the export mounted on the mount file."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDONLY | os.O_CLOEXEC, 0o600))
        server = daemons.start([SERVER, *(["-r"] if read_only else []), str(path), *_reached(uri)])
        server.go()
        deadline = time.monotonic() + MOUNT_PATIENCE_S
        while not any(mount.point == str(path) for mount in machine.mounts()):
            if not server.identity.alive() or time.monotonic() > deadline:
                raise _Failed(server.abandon() or f"{SERVER} did not mount its file within {MOUNT_PATIENCE_S} seconds")
            time.sleep(PAUSE_S)
        server.release()

    def _loop(self, path: Path, read_only: bool) -> Device:
        words = ("--find", "--direct-io=on", *(["--read-only"] if read_only else []), str(path))
        for _ in range(LOOP_TRIES):  # another process may have taken the free device that was found
            why = self._tools.run("losetup", *words, patience_s=TOOL_PATIENCE_S)
            if loops := self._loops(path):
                return Device(path=loops[0].device, read_only=read_only, alive=True, mounted=None)
        raise _Failed(why)

    def _remove(self, path: Path) -> None:
        """
        Leave nothing of the mount file. A device that somebody keeps open gives errors and goes with its last user;
        until then it lies on nothing.
        """
        gently = [self._let_go(loop) for loop in self._loops(path)]
        if not (all(gently) and self._gone(path)):
            self._end_servers(path, 0)
        self._end_servers(path, END_PATIENCE_S if self._unmount(path) else 0)
        self._unmount(path)  # a server that was just starting may have come to mount it before it was ended
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()

    def _unmount(self, path: Path) -> bool:
        """Leave nothing mounted on the mount file; whether something was, so that its server will end by itself."""
        found = False
        while any(mount.point == str(path) for mount in machine.mounts()):
            found = True
            if not self._done("umount", str(path)):
                self._end_servers(path, 0)
                if not self._done("umount", str(path)) and not self._done("umount", "--lazy", str(path)):
                    raise Unavailable(reason=f"{path} cannot be unmounted.")
        return found

    def _let_go(self, loop: Loop) -> bool:
        """Take the device away from whoever uses it; whether that went without force."""
        gently = True
        for point in machine.mounted(loop.device, machine.mounts()):
            gently = self._done("umount", point) and gently
        for point in machine.mounted(loop.device, machine.mounts()):
            self._done("umount", "--lazy", point)
        return self._done("losetup", "--detach", loop.device) and gently

    def _gone(self, path: Path) -> bool:
        """Whether the device is gone, given a moment for those who only glanced at it."""
        deadline = time.monotonic() + GLANCE_PATIENCE_S
        while self._loops(path) and time.monotonic() < deadline:
            time.sleep(PAUSE_S)
        return not self._loops(path)

    def _done(self, program: str, *words: str) -> bool:
        try:
            return self._tools.run(program, *words, patience_s=TOOL_PATIENCE_S) == ""
        except Slow:
            return False

    def _end_servers(self, path: Path, patience_s: float) -> None:
        """Leave no server of the mount file; it may end by itself for so long. Whatever waits for it gets an error."""
        for server in self._servers(path):
            if not (patience_s and server.identity.wait(patience_s)) and not server.identity.end(END_PATIENCE_S):
                raise Unavailable(reason=f"Process {server.identity.pid} cannot be ended.")


def _reached(uri: str) -> list[str]:
    """How nbdfuse reaches `uri`. It takes no key for TLS, so that there nbdkit stands in between, and ends with it."""
    address, marker, key = uri.partition(KEY)
    if not marker:
        return [uri]
    nbdkit = [programs.find("nbdkit"), "--exit-with-parent", "--foreground", "nbd"]
    return ["[", *nbdkit, f"uri={address}", "tls=require", f"tls-psk={unquote(key)}", "]"]


def _reaches(server: Program, uri: str) -> bool:
    return _reached(uri)[-4:] == list(server.words)[-4:] if KEY in uri else uri in server.words


def _without(uri: str, text: str) -> str:
    """`text` without the name of the export, which is not for error texts."""
    return text.replace(uri, "the export").replace(urlsplit(uri).path.lstrip("/") or uri, "...")


class _Failed(Exception):
    """Why a device could not be made."""
