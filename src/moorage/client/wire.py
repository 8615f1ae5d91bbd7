"""HTTP with JSON bodies, over TCP or a unix socket, and what goes wrong with it."""

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 90.0  #: longer than a server makes anybody wait
BODY_LIMIT_BYTES = 64 << 20


class ClientError(Exception):
    """What went wrong, in words for whoever typed the command."""


class Unreachable(ClientError):
    """Nobody answers there."""


class Refusal(ClientError):
    """The server has answered, and the answer is no."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True)
class Reply:
    """A good answer."""

    status: int
    headers: Mapping[str, str]
    body: Any


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True)
class Wire:
    """How one server is reached: by URL, or (for our agent) by the path of its socket."""

    socket: Path | None = None
    verify: bool = True
    cacert: str | None = None
    timeout_s: float = TIMEOUT_S

    def ask(self, method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        """The answer to one request. Anything but a success raises."""
        parts = urlsplit(url)
        connection = self._connection(parts.scheme, parts.hostname or "", parts.port)
        sent = {"Accept": "application/json", **(headers or {})}
        data = None
        if body is not None:
            data, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        try:
            connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), data, sent)
            answer = connection.getresponse()
            content = answer.read(BODY_LIMIT_BYTES)
        except (OSError, http.client.HTTPException) as problem:
            place = self.socket or f"{parts.scheme}://{parts.netloc}"
            raise Unreachable(f"Nobody answers at {place}: {problem or type(problem).__name__}") from None
        finally:
            connection.close()
        return _reply(answer, content)

    def _connection(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        if self.socket is not None:
            return _UnixConnection(self.socket, self.timeout_s)
        if scheme == "https":
            context = ssl.create_default_context(cafile=self.cacert)
            if not self.verify:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            return http.client.HTTPSConnection(host, port, timeout=self.timeout_s, context=context)
        if scheme != "http" or not host:
            raise ClientError("The address of the cloud is not an http or https URL.")
        return http.client.HTTPConnection(host, port, timeout=self.timeout_s)


def _reply(answer: http.client.HTTPResponse, content: bytes) -> Reply:
    try:
        body = json.loads(content) if content.strip() else None
    except ValueError:
        body = None
    if answer.status >= 300:
        raise Refusal(answer.status, _said(body) or f"{answer.status} {answer.reason}")
    return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)


def _said(body: Any) -> str | None:
    """The message in a fault of any of the services: an object whose one value holds it."""
    if isinstance(body, dict):
        for value in [body, *body.values()]:
            if isinstance(value, dict) and isinstance(value.get("message"), str):
                return str(value["message"])
    return None
