"""Uploads and downloads over real sockets, to a real `moorage up`: memory, chunks, 100-continue, early refusals."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ports import free_port

ONE = 1 << 20


@dataclass
class Server:
    """A running Moorage, and a token of its demo user."""

    process: "subprocess.Popen[bytes]"
    port: int
    state: Path
    token: str = ""

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=240)

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any, bytes]:
        headers = {"X-Auth-Token": self.token, "Accept": "application/json", **more.pop("headers", {})}
        connection = self.connect()
        if isinstance(body, dict):
            body, headers = json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
        connection.request(method, path, body, headers, **more)
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        return reply.status, reply.headers, content

    def image(self) -> str:
        status, _, body = self.ask("POST", "/image/v2/images", {"disk_format": "raw", "container_format": "bare"})
        assert status == 201, body
        return str(json.loads(body)["id"])

    def show(self, id: str) -> Any:
        return json.loads(self.ask("GET", f"/image/v2/images/{id}")[2])

    def memory(self, what: str) -> int:
        """Bytes of memory: VmRSS is what it has, VmHWM the most that it ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{what}:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@contextmanager
def serving(settings: str = "") -> Iterator[Server]:
    """A running Moorage with these settings, until the end."""
    with tempfile.TemporaryDirectory(prefix="moor-") as folder:
        state, port = Path(folder), free_port()
        state.chmod(0o711)
        (state / "settings.toml").write_text(settings)
        command = [sys.executable, "-m", "moorage", "up", "--state", folder, "--listen", f"127.0.0.1:{port}"]
        command += ["--config", str(state / "settings.toml")]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            server = Server(process, port, state)
            wait_until_it_serves(server)
            server.token = token(server)
            yield server
        finally:
            process.terminate()
            process.wait(20)
            subprocess.run(
                [sys.executable, "-m", "moorage", "down", "--state", folder], check=False, capture_output=True
            )


def wait_until_it_serves(server: Server) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            assert server.ask("GET", "/image/versions")[0] == 200
            return
        except OSError:
            assert time.monotonic() < until and server.process.poll() is None, "it does not start"
            time.sleep(0.1)


def token(server: Server) -> str:
    auth = yaml.safe_load((server.state / "clouds.yaml").read_text())["clouds"]["moorage"]["auth"]
    user = {"name": auth["username"], "domain": {"id": "default"}, "password": auth["password"]}
    scope = {"project": {"name": auth["project_name"], "domain": {"id": "default"}}}
    asked = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
    status, headers, body = server.ask("POST", "/identity/v3/auth/tokens", asked)
    assert status == 201, body
    return str(headers["x-subject-token"])


def test_memory_stays_flat_however_large_the_image(server: Server) -> None:
    block = os.urandom(ONE)
    server_before, id = server.memory("VmRSS"), server.image()
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")  # forget the most memory that it ever had
    headers = {"Content-Type": "application/octet-stream"}
    path = f"/image/v2/images/{id}/file"
    assert server.ask("PUT", path, (block for _ in range(1024)), headers=headers, encode_chunked=True)[0] == 204
    assert server.show(id)["size"] == 1024 * ONE
    reply = server.connect()
    reply.request("GET", path, headers={"X-Auth-Token": server.token})
    body, read = reply.getresponse(), 0
    while chunk := body.read(ONE):
        read += len(chunk)
    assert read == 1024 * ONE
    assert server.memory("VmHWM") - server_before < 64 * ONE
    assert server.ask("DELETE", f"/image/v2/images/{id}")[0] == 204


def test_a_client_may_wait_for_the_word_to_go_on(server: Server) -> None:
    id = server.image()
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(request(server, id, "Content-Length: 5\r\nExpect: 100-continue"))
        assert client.recv(4096).startswith(b"HTTP/1.1 100")
        client.sendall(b"bytes")
        assert client.recv(4096).startswith(b"HTTP/1.1 204")
    assert server.show(id)["size"] == 5
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(request(server, id, "Content-Length: 5\r\nExpect: 100-continue"))
        assert client.recv(4096).startswith(b"HTTP/1.1 409")  # without having asked for the bytes


def test_a_connection_cut_half_way_leaves_nothing(server: Server) -> None:
    id = server.image()
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(request(server, id, f"Content-Length: {8 * ONE}"))
        client.sendall(b"x" * 5 * ONE)
        until = time.monotonic() + 60
        while server.show(id)["status"] != "saving" or not stored(server, id):
            assert time.monotonic() < until
            time.sleep(0.05)
    until = time.monotonic() + 60
    while server.show(id)["status"] != "queued" or stored(server, id):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert server.show(id)["size"] is None


def test_a_refusal_reaches_a_client_that_still_sends(server: Server) -> None:
    """A refusal reaches a client that is in the middle of its body, which is read and dropped."""
    id = server.image()
    headers = {"Content-Type": "application/octet-stream", "X-OpenStack-Image-Size": "10"}
    status, _, body = server.ask("PUT", f"/image/v2/images/{id}/file", b"x" * 40 * ONE, headers=headers)
    assert (status, "announced" in json.loads(body)["message"]) == (400, True)


def request(server: Server, id: str, more: str) -> bytes:
    return (
        f"PUT /image/v2/images/{id}/file HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {server.token}\r\n"
        f"Content-Type: application/octet-stream\r\n{more}\r\n\r\n"
    ).encode()


def stored(server: Server, id: str) -> list[Path]:
    return [path for path in (server.state / "images").glob(f"{id}/*") if path.is_file()]
