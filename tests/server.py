"""Real `moorage` processes for tests: started, asked over HTTP, killed."""

import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from moorage.place import Place
from tests import schema
from tests.cloud import Reply
from tests.ports import free_port

CONNECTOR = {"host": "somewhere", "nbd": True}


class Process:
    """One `moorage ROLE` process."""

    def __init__(self, state: Path, role: str = "up", port: int | None = None, **environment: str) -> None:
        self.state, self.role, self.port = state, role, port or free_port()
        command = [sys.executable, "-m", "moorage", role, "--state", str(state), "--listen", f"127.0.0.1:{self.port}"]
        configured = state / "moorage.toml"  # of the test, where it made one
        command += ["--config", str(configured)] if configured.exists() else []
        if role == "up" and state.exists() and not configured.exists() and "MOORAGE_DATABASE" not in environment:
            schema.begin_file(Place(state).database)
        self.log = state.with_name(f"{state.name}-{role}-{self.port}.log")
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, "PYTHONUNBUFFERED": "1", **environment}
            )
        self._tokens: dict[str, str] = {}

    def ready(self) -> "Process":
        """Wait until it has printed that it runs."""
        until = time.monotonic() + 60
        while b"export OS_CLOUD" not in self.log.read_bytes() and b"is running" not in self.log.read_bytes():
            if self.popen.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"moorage {self.role} did not start: {self.log.read_text()[-3000:]}")
            time.sleep(0.02)
        return self

    def call(
        self, method: str, path: str, body: Any = None, token: str | None = None, version: str = "volume 3.54"
    ) -> Reply:
        """One request over TCP, as the demo user."""
        headers = {
            "Content-Type": "application/json",
            "X-Auth-Token": token or self.token(),
            "OpenStack-API-Version": version,
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        reply = Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        connection.close()
        return reply

    def token(self, cloud: str = "moorage") -> str:
        """A token of the demo user, or of whom another cloud of clouds.yaml names."""
        if cloud not in self._tokens:
            auth = yaml.safe_load((self.state / "clouds.yaml").read_text())["clouds"][cloud]["auth"]
            user = {"name": auth["username"], "password": auth["password"], "domain": {"name": "Default"}}
            scope = {"project": {"name": auth["project_name"], "domain": {"name": "Default"}}}
            asked = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
            reply = self.call("POST", "/identity/v3/auth/tokens", asked, token="none")
            assert reply.status == 201, reply.body
            self._tokens[cloud] = reply.headers["x-subject-token"]
        return self._tokens[cloud]

    def forget_token(self) -> None:
        """Log in anew next time."""
        self._tokens.clear()

    def volume(self, name: str = "v") -> str:
        """A new volume of 1 GiB, available."""
        id: str = self.call("POST", "/volume/v3/volumes", {"volume": {"size": 1, "name": name}}).json["volume"]["id"]
        self.until(f"/volume/v3/volumes/{id}", "available")
        return id

    def attach(self, volume: str) -> str:
        """A complete attachment of `volume`, to a client outside."""
        reply = self.call(
            "POST", "/volume/v3/attachments", {"attachment": {"volume_uuid": volume, "connector": CONNECTOR}}
        )
        assert reply.status == 200, reply.body
        id: str = reply.json["attachment"]["id"]
        assert self.call("POST", f"/volume/v3/attachments/{id}/action", {"os-complete": None}).status == 204
        return id

    def until(self, path: str, status: str) -> None:
        """Wait for a volume's status."""
        until = time.monotonic() + 60
        while (found := self.call("GET", path).json["volume"]["status"]) != status:
            assert time.monotonic() < until, f"{path} is {found}, not {status}"
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL."""
        self.popen.kill()
        self.popen.wait()

    def end(self) -> int:
        """SIGTERM; the exit status."""
        self.popen.terminate()
        return self.popen.wait(60)


def down(state: Path, **environment: str) -> str:
    """`moorage down`; what it printed."""
    return moorage(state, "down", **environment)


def clear(place: Place) -> None:
    """Remove what processes that are gone leave beside the state directory: the directory of sockets, and logs."""
    shutil.rmtree(place.sockets, ignore_errors=True)
    for log in place.state.parent.glob(f"{place.state.name}-*.log"):
        log.unlink(missing_ok=True)


def moorage(state: Path, *words: str, **environment: str) -> str:
    """Run a `moorage` command on a state directory; what it printed."""
    command = [sys.executable, "-m", "moorage", *words, "--state", str(state)]
    environment = {**os.environ, **environment}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout
