"""
The agent's socket: what `moorage attach` and `detach` ask of it. It admits root and Moorage's own user, by the kernel's
word for who is at the other end.
"""

import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

from moorage import __version__
from moorage.agent.credential import Credential
from moorage.agent.devices import LeasedDevices
from moorage.core.errors import Malformed, NotFound, Problem

BODY_LIMIT_BYTES = 65536
TIMEOUT_S = 30.0
BASE = "/moorage/v1/"


class Front(ThreadingUnixStreamServer):
    """Listens on the agent's socket."""

    daemon_threads = True

    def __init__(
        self,
        path: Path,
        credential: Credential,
        devices: LeasedDevices,
        lease_s: int,
        trouble: Callable[[], str | None],
    ) -> None:
        self.credential, self.devices, self.lease_s, self.trouble = credential, devices, lease_s, trouble
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        mask = os.umask(0o177)
        try:
            super().__init__(str(path), _Handler)
        finally:
            os.umask(mask)
        self._thread = threading.Thread(target=self.serve_forever, name="agent-front", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether whoever connects may ask anything."""
        peer = request.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return struct.unpack("3i", peer)[1] in (0, os.geteuid())

    def answer(self, method: str, path: str, body: Any) -> Any:
        """What is said to one request."""
        noun, _, id = path.removeprefix(BASE).partition("/")
        match method, noun:
            case "GET", "status":
                told = {"host": self.credential.name, "url": self.credential.url, "version": __version__}
                more = {"trouble": self.trouble(), "devices": self.devices.present()}
                return {"status": {**told, **more, "joined": True, "lease_s": self.lease_s}}
            case "GET", "hosts":
                return {"host": {"name": self.credential.name, "devices": self.devices.present()}}
            case "PUT", "devices":
                if not isinstance(body, dict) or not isinstance(body.get("device"), dict):
                    raise Malformed(reason="The body is {'device': {...}}.")
                return {"device": {"path": self.devices.connect(id, body["device"]).path}}
            case "DELETE", "devices":
                self.devices.disconnect(id, flush=True)
                return {"device": None}
        raise NotFound()


class _Handler(BaseHTTPRequestHandler):
    server: Front
    timeout = TIMEOUT_S
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        try:
            status, body = 200, self.server.answer(self.command, self.path.split("?")[0], self._body())
        except Problem as problem:
            said = {"code": problem.code, "message": problem.sentence, "status": problem.status}
            status, body = problem.status, {"error": said}
        except OSError as problem:
            status, body = 503, {"error": {"code": "agent.failed", "message": str(problem), "status": 503}}
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_DELETE = _answer

    def _body(self) -> Any:
        length = self.headers.get("Content-Length") or "0"
        if not length.isdigit() or int(length) > BODY_LIMIT_BYTES:
            raise Malformed(reason="The body is too long.")
        try:
            return json.loads(self.rfile.read(int(length))) if int(length) else None
        except (ValueError, RecursionError):
            raise Malformed(reason="The body is not JSON.") from None

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: addresses and keys are in what is asked."""

    def address_string(self) -> str:
        return "local"
