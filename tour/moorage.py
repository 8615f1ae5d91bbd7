"""The Moorage that the tour uses: its process, and everything on this machine that belongs to its state directory."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from tour.shell import BIN, Failed, Shell


class Moorage:
    """`moorage up` on one state directory."""

    def __init__(self, state: Path, port: int | None = None, clients_port: int | None = None) -> None:
        self.state = state
        self.log = state.with_name(f"{state.name}.log")
        self.port = port or free_port()
        self._clients_port = clients_port
        self._process: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        """Start it and wait until it answers."""
        log = self.log.open("ab")
        command = [BIN / "moorage", "up", "--state", self.state, "--listen", f"127.0.0.1:{self.port}"]
        self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5).read()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise Failed(f"FAILED: moorage did not start; see {log.name}") from None
                time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL the control plane."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def down(self) -> str:
        """`moorage down`."""
        printed = Shell().run("moorage", "down", "--state", self.state)
        if self._process is not None:
            self._process.wait(10)
        return printed

    def user(self, cloud: str = "moorage") -> Shell:
        """A terminal after the two export lines."""
        return Shell(OS_CLIENT_CONFIG_FILE=str(self._clouds()), OS_CLOUD=cloud, MOORAGE_STATE=str(self.state))

    def _clouds(self) -> Path:
        """The clouds.yaml of the users: Moorage's own, unless they are to take another way to it."""
        own = self.state / "clouds.yaml"
        if self._clients_port is None:
            return own
        theirs = self.state / "clients.yaml"
        theirs.touch(mode=0o600)
        theirs.write_text(own.read_text().replace(f":{self.port}/", f":{self._clients_port}/"))
        return theirs

    def processes(self) -> dict[int, str]:
        """All processes of this state directory: those whose command lines name it, its daemons and its gates."""
        marks, recorded = (str(self.state), sockets_name(self.state)), recorded_pids(self.state / "run")
        found = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != os.getpid():
                try:
                    line = Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue
                ours = int(entry) in recorded and ("qemu-storage-daemon" in line or "nbdkit" in line)
                if ours or (any(mark in line for mark in marks) and " -m tour" not in line):
                    found[int(entry)] = line
        return found

    def devices(self) -> list[str]:
        """Loop devices whose file lies in a directory of this Moorage."""
        found = []
        for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
            try:
                if sockets_name(self.state) in backing.read_text():
                    found.append("/dev/" + backing.parts[3])
            except OSError:
                continue
        return found

    def files(self) -> list[str]:
        """Files of volumes and images."""
        return [
            str(p.relative_to(self.state))
            for room in ("volumes", "images")
            for p in (self.state / room).rglob("*")
            if p.is_file()
        ]


def recorded_pids(run: Path) -> set[int]:
    """The pids in the record files of daemons."""
    found: set[int] = set()

    def look(value: object, name: str = "") -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                look(inner, key)
        elif isinstance(value, list):
            for inner in value:
                look(inner)
        elif isinstance(value, int) and name == "pid":
            found.add(value)

    for path in run.rglob("*.json"):
        try:
            look(json.loads(path.read_text()))
        except (OSError, ValueError):
            continue
    return found


def kill_all(moorage: Moorage) -> None:
    """SIGKILL everything that belongs to the state directory, as a power cut for it would."""
    for pid in moorage.processes():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def sockets_name(state: Path) -> str:
    """The directory of sockets of a state directory ends like this."""
    return "/moorage/" + hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:12]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
