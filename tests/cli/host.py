"""A real Moorage on this host and the real command line, with nothing left of either afterwards."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from moorage.place import Place
from tests.drivers.loops import left
from tests.server import Process, clear, down


class Host:
    """One state directory, its server, and whoever types commands."""

    def __init__(self, state: Path) -> None:
        self.state, self.place = state, Place(state)
        self.server = Process(state).ready()

    @property
    def environment(self) -> dict[str, str]:
        own = {"OS_CLIENT_CONFIG_FILE": str(self.state / "clouds.yaml"), "OS_CLOUD": "moorage"}
        return {**os.environ, **own, "MOORAGE_STATE": str(self.state)}

    def start(self, *words: str, **environment: str) -> "subprocess.Popen[str]":
        """A `moorage` command, running."""
        command, pipe = [sys.executable, "-m", "moorage", *words], subprocess.PIPE
        environment = {**self.environment, **environment}
        terminal = ("env", "--default-signal=INT")  # what a shell starts in the background ignores interrupts
        return subprocess.Popen([*terminal, *command], env=environment, stdout=pipe, stderr=pipe, text=True)

    def run(self, *words: str, status: int = 0, **environment: str) -> str:
        """What a `moorage` command says; its exit status is checked."""
        process = self.start(*words, **environment)
        said, complained = process.communicate(timeout=120)
        assert process.returncode == status, f"{words}: {process.returncode}\n{said}{complained}"
        return (said + complained).strip()

    def shared(self, name: str) -> str:
        """A new volume that several may use."""
        admin = self.server.token("moorage-admin")
        body = {"volume_type": {"name": name, "extra_specs": {"multiattach": "<is> True"}}}
        type_id = self.server.call("POST", "/volume/v3/types", body, token=admin).json["volume_type"]["id"]
        asked = {"volume": {"size": 1, "name": name, "volume_type": type_id}}
        id = str(self.server.call("POST", "/volume/v3/volumes", asked).json["volume"]["id"])
        self.server.until(f"/volume/v3/volumes/{id}", "available")
        return id

    def settled(self, volume: str) -> None:
        """Wait until no operation is at the volume."""
        path, deadline = f"/moorage/v1/operations?state=open&resource_id={volume}", time.monotonic() + 60
        while self.server.call("GET", path).json["operations"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def attachments(self, volume: str) -> list[dict[str, Any]]:
        """What Block Storage lists of a volume."""
        path = f"/volume/v3/attachments/detail?volume_id={volume}"
        return list(self.server.call("GET", path).json["attachments"])

    def left(self) -> list[str]:
        return left(self.place.sockets)

    def close(self) -> None:
        if self.server.popen.poll() is None:
            self.server.end()
        down(self.state)
        assert self.left() == []
        clear(self.place)
