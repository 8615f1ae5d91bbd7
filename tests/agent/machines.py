"""A Moorage, a host elsewhere that uses its volumes, and the network between them, which can be cut."""

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moorage.place import Place
from tests.cli.host import Host
from tests.drivers.loops import left


class Network:
    """Forwards to a port of this machine until it is cut: then nothing passes, and nobody is told."""

    def __init__(self, port: int) -> None:
        self._to, self.cut = port, False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                threading.Thread(target=self._forward, args=(near,), daemon=True).start()

    def _forward(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError), near, socket.create_connection(("127.0.0.1", self._to)) as far:
            while True:
                for side in select.select([near, far], [], [], 0.1)[0]:
                    while self.cut:
                        time.sleep(0.02)
                    data = side.recv(65536)
                    if not data:
                        return
                    (far if side is near else near).sendall(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class Machines:
    """`here` has the volumes; `there` has the agent of a host called compute1."""

    def __init__(self, here: Path, there: Path, lease_s: int = 3) -> None:
        self.here, self.there, self.lease_s = Host(here), Place(there), lease_s
        self.network = Network(int(self.here.server.port))
        self.log = there.with_name(f"{there.name}-agent.log")
        self.agent = self.start_agent()

    @property
    def environment(self) -> dict[str, str]:
        own = {"OS_CLIENT_CONFIG_FILE": str(self.here.state / "clouds.yaml"), "MOORAGE_STATE": str(self.there.state)}
        return {**os.environ, **own, "PYTHONUNBUFFERED": "1"}

    def start_agent(self) -> "subprocess.Popen[bytes]":
        """A real `moorage host --join`, running."""
        words = ["host", "--join", f"http://127.0.0.1:{self.network.port}", "--name", "compute1"]
        words += ["--lease", str(self.lease_s), "--os-cloud", "moorage-admin"]
        said = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            agent = subprocess.Popen(
                [sys.executable, "-m", "moorage", *words], env=self.environment, stdout=log, stderr=log
            )
        self.until(lambda: b"is running" in self.log.read_bytes()[said:] or agent.poll() is not None)
        assert agent.poll() is None, self.log.read_text()
        return agent

    def run(self, *words: str, status: int | None = 0) -> str:
        """What a `moorage` command of the demo user says on the host elsewhere."""
        environment = {**self.environment, "OS_CLOUD": "moorage"}
        command = [sys.executable, "-m", "moorage", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert status in (None, done.returncode), done.stderr
        return done.stdout.strip()

    def attachments(self, volume: str) -> list[dict[str, Any]]:
        return self.here.attachments(volume)

    def own(self, path: str) -> Any:
        """What Moorage's own API says to its administrator."""
        from moorage.client.clouds import find
        from moorage.client.session import Session

        session = Session(find("moorage-admin", {"OS_CLIENT_CONFIG_FILE": str(self.here.state / "clouds.yaml")}))
        return session.ask("moorage", "GET", path)

    def until(self, holds: Callable[[], bool], patience_s: float = 60) -> None:
        deadline = time.monotonic() + patience_s
        while not holds():
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.05)

    def devices(self) -> list[str]:
        """What is left on the host elsewhere."""
        return left(self.there.sockets)

    def close(self) -> None:
        self.network.cut = False
        if self.agent.poll() is None:
            self.agent.send_signal(signal.SIGCONT)
            self.agent.terminate()
            self.agent.wait(20)
        from moorage.drivers.connectors import registry

        devices = registry.build("loop", self.there.sockets)
        for id in devices.present():
            devices.disconnect(id)
        self.network.close()
        self.here.close()
        assert self.devices() == []
        shutil.rmtree(self.there.sockets, ignore_errors=True)
        self.log.unlink(missing_ok=True)
