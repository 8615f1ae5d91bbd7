"""A data plane for tests: its volumes, its doors, and what it leaves behind in the process list and on disk."""

import os
import secrets
from pathlib import Path

from moorage.drivers.backends.files import FilesBackend
from moorage.volumes.backend import Cache, Connection, Door, Export, Format, Layer
from tests.patience import eventually

MIB = 1 << 20


class Plane:
    """A files backend below one directory, under volume ids that no other test has."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.volume = secrets.token_hex(8)
        self.names: list[str] = [self.volume]
        self.backend = self.again()

    def again(self, **options: int) -> FilesBackend:
        """What a new process would start with."""
        return FilesBackend(self.directory / "state", self.directory / "run", **options)

    def layer(self, format: Format, parent: Layer | None = None, part: str = "create-1", size: int = 64 * MIB) -> Layer:
        made = Layer(f"volumes/{self.volume}/{part}", format, size, parent)
        self.backend.create(made)
        return made

    def export(self, attachment: str, door: Door = Door.PRIVATE, *, read_only: bool = False) -> Export:
        made = Export(attachment, self.volume, secrets.token_hex(16), read_only, door, secrets.token_hex(32))
        self.names.append(made.name)
        return made

    def publish(
        self, attachment: str, head: Layer, door: Door = Door.PRIVATE, *, read_only: bool = False
    ) -> Connection:
        return self.backend.publish(self.export(attachment, door, read_only=read_only), head, Cache.BACK)

    def key(self, export: Export) -> Path:
        """A file with the key of a door with TLS, as its holder would keep it."""
        path = self.directory / f"key-{export.name}"
        path.write_text(f"{export.attachment}:{export.secret}\n")
        return path

    def path(self, layer: Layer) -> Path:
        return self.directory / "state" / layer.name

    def processes(self, word: str | None = None) -> list[int]:
        """Pids of daemons and gates of this plane, or of those whose arguments hold `word`."""
        words = [word] if word else self.names
        return [pid for pid in running() if any(name in arguments(pid) for name in words)]

    def daemon(self) -> int:
        (pid,) = [pid for pid in self.processes(self.volume) if "qemu-storage-daemon" in arguments(pid)]
        return pid

    def leftovers(self) -> list[str]:
        """Processes, sockets, keys and records that are still there; layers do not count."""
        places = [self.directory / "run", self.directory / "state" / "run"]
        files = [str(path) for place in places for path in place.rglob("*") if not path.is_dir()]
        return files + [arguments(pid) for pid in self.processes()]

    def empty(self) -> bool:
        return eventually(lambda: not self.leftovers())


def running() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def arguments(pid: int) -> str:
    """The command line of `pid`; empty where it has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
