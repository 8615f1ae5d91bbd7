"""Real volumes behind real daemons, with real block devices on this host; and what there is of them on the machine."""

import os
import subprocess
from pathlib import Path

from moorage.core.ids import new_secret, new_uuid
from moorage.drivers.backends.files import FilesBackend
from moorage.drivers.connectors import machine
from moorage.drivers.connectors.loop import LoopDevices
from moorage.volumes.backend import Cache, Door, Export, Format, Layer

MIB = 1 << 20


class Rig:
    """A files backend and a loop connector over one state directory."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.backend = FilesBackend(state, state / "s")
        self.devices = LoopDevices(state / "dev")
        self.heads: dict[str, Layer] = {}
        self.attached: dict[str, str] = {}

    def volume(self, format: Format = Format.QCOW2) -> str:
        """A new volume of 64 MiB."""
        volume = new_uuid()
        self.heads[volume] = Layer(f"volumes/{volume}/{new_uuid()}-1", format, 64 * MIB)
        self.backend.create(self.heads[volume])
        return volume

    def publish(self, volume: str, *, read_only: bool = False) -> tuple[str, str]:
        """A new attachment and the address of its export."""
        attachment = new_uuid()
        export = Export(attachment, volume, new_secret(), read_only, Door.PRIVATE)
        self.attached[attachment] = volume
        return attachment, self.backend.publish(export, self.heads[volume], Cache.BACK).uri

    def attach(self, volume: str, *, read_only: bool = False) -> tuple[str, str]:
        """A new attachment and its device."""
        attachment, uri = self.publish(volume, read_only=read_only)
        return attachment, self.devices.connect(attachment, uri, read_only=read_only).path

    def detach(self, attachment: str) -> None:
        self.devices.flush(attachment)
        self.devices.disconnect(attachment)
        self.backend.withdraw(self.attached.pop(attachment), attachment)

    def server(self, attachment: str) -> int:
        """The pid of the attachment's nbdfuse."""
        return next(p.identity.pid for p in machine.programs("nbdfuse") if any(attachment in word for word in p.words))

    def daemon(self, volume: str) -> int:
        """The pid of the volume's storage daemon."""
        server = self.backend._records.load(volume)
        assert server is not None
        return server.process.pid

    def close(self) -> None:
        for attachment in list(self.attached) + list(self.devices.present()):
            self.devices.disconnect(attachment)
        for volume in self.heads:
            self.backend.clear(volume)


def left(state: Path) -> list[str]:
    """Everything on this machine that names the state directory's devices."""
    directory = str(state / "dev")
    found = [f"mount {mount.point}" for mount in machine.mounts() if mount.point.startswith(directory)]
    found += [f"{loop.device} of {loop.backing}" for loop in machine.loops() if loop.backing.startswith(directory)]
    found += [f"process {p.identity.pid}" for p in machine.programs("nbdfuse") if any(directory in w for w in p.words)]
    return found + ([f"file {name}" for name in os.listdir(directory)] if os.path.isdir(directory) else [])


def run(*words: str, fails: bool = False) -> str:
    """What a program says; that it succeeds, or `fails`, is checked."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def write(device: str, byte: bytes, at_mib: int = 0) -> None:
    """Write one MiB of `byte`, past the page cache."""
    done = subprocess.run(
        [
            "dd",
            f"of={device}",
            "bs=1M",
            f"seek={at_mib}",
            "conv=fsync,notrunc",
            "oflag=direct",
            "iflag=fullblock",
            "status=none",
        ],
        input=byte * MIB,
        timeout=60,
        check=False,
        capture_output=True,
    )
    if done.returncode:
        raise OSError(done.stderr.decode())


def read(device: str, at_mib: int = 0) -> bytes:
    """Read one MiB, past the page cache."""
    words = ["dd", f"if={device}", "bs=1M", "count=1", f"skip={at_mib}", "iflag=direct", "status=none"]
    return subprocess.run(words, capture_output=True, timeout=60, check=True).stdout
