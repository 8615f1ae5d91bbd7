"""
The Compute of the cloud's catalog, asked over HTTP: one GET for each service there, with limits of time and size. It
goes to the address in the catalog and to no other: a redirection is no answer.
"""

import logging
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, urlsplit

import httptools
import msgspec

from moorage.core.errors import Problem
from moorage.volumes.compute import UNNAMED, Compute, ComputeUnsure, Word

log = logging.getLogger(__name__)

TIMEOUT_S = 5.0
ANSWER_LIMIT_BYTES = 64 << 10  #: head and body; what is asked for takes some hundreds
MICROVERSION = "2.89"  #: the first that says by which attachment a server uses a volume
ANSWERS_AT = b"openstack-api-version", f"compute {MICROVERSION}".encode()  #: the header by which Compute is known


@dataclass(frozen=True)
class Reach:
    """How Compute is reached: the address of each such service in the catalog, and a token for them."""

    urls: Sequence[str]
    token: str = field(default="", repr=False)


class _Used(msgspec.Struct):
    attachment_id: str | None


class _Shown(msgspec.Struct):
    volumeAttachment: _Used


class _Missing(msgspec.Struct):
    itemNotFound: dict[str, object]


class _Useless(Exception):
    """What is wrong with Compute or its answer, without its address: users read it."""


class HttpCompute(Compute):
    """Asks every Compute service that `reach` names; what any of them uses is used."""

    def __init__(self, reach: Callable[[], Reach], timeout_s: float = TIMEOUT_S) -> None:
        self._reach, self._timeout_s = reach, timeout_s

    def ask(self, instance: str, volume: str) -> Word | None:
        """What the services say together."""
        try:
            reach = self._reach()
        except Problem as problem:
            log.warning("Moorage cannot ask Compute in its own name: %s", problem.sentence)
            raise ComputeUnsure(instance=instance, reason="does not take questions of Moorage's own user") from None
        until = time.monotonic() + self._timeout_s
        path = f"/servers/{_part(instance)}/os-volume_attachments/{_part(volume)}"
        used: set[str] = set()
        for url in reach.urls:
            try:
                used |= _used(_get(url.rstrip("/") + path, reach.token, until))
            except (_Useless, OSError, ValueError) as problem:
                reason = str(problem) if isinstance(problem, _Useless) else "does not answer"
                log.warning("Compute at %s %s (%s)", url, reason, type(problem).__name__)
                raise ComputeUnsure(instance=instance, reason=reason) from None
        return Word(frozenset(used)) if reach.urls else None


def _part(id: str) -> str:
    """An id as one segment of a path that leads nowhere else."""
    return quote(id, safe="").replace(".", "%2E")


def _used(reply: "_Reply") -> set[str]:
    """By which attachments the server uses the volume. A 404 of a proxy or of another service proves nothing."""
    if reply.status not in (200, 404):
        raise _Useless(f"answered with status {reply.status}")
    if not reply.compute:
        raise _Useless("gave an answer that is not Compute's")
    try:
        if reply.status == 200:
            id = msgspec.json.decode(reply.body, type=_Shown).volumeAttachment.attachment_id
            return {(id or UNNAMED).lower()}
        msgspec.json.decode(reply.body, type=_Missing)
        return set()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _Useless("gave an answer that means nothing") from None


class _Reply:
    """What the parser has seen of an answer."""

    def __init__(self) -> None:
        self.status, self.body, self.over = 0, bytearray(), False
        self.compute = False  #: it says that it is Compute's, at our microversion

    def on_header(self, name: bytes, value: bytes) -> None:
        self.compute |= (name.lower(), value.strip()) == ANSWERS_AT

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.over = True


def _get(url: str, token: str, until: float) -> _Reply:
    """The answer, all of it before `until`."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _Useless("has no http or https address in the catalog")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    question, reply, total = _question(parts, token), _Reply(), 0
    parser = httptools.HttpResponseParser(reply)
    with socket.create_connection((parts.hostname, port), timeout=_left(until)) as plain:
        plain.settimeout(_left(until))
        with _secured(plain, parts) as connection:
            connection.sendall(question)
            while not reply.over:
                connection.settimeout(_left(until))
                data = connection.recv(16 << 10)
                total += len(data)
                if total > ANSWER_LIMIT_BYTES:
                    raise _Useless("gave an answer that is too long")
                if not data:
                    break
                _feed(parser, data)
    reply.status = parser.get_status_code()
    if not reply.status:
        raise _Useless("hung up")
    return reply


def _secured(plain: socket.socket, parts: SplitResult) -> socket.socket:
    if parts.scheme == "http":
        return plain
    return ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname)


def _question(parts: SplitResult, token: str) -> bytes:
    """The request. What a header may not hold is no header: an address cannot add any."""
    lines = (
        f"GET {parts.path} HTTP/1.1",
        f"Host: {parts.netloc.rpartition('@')[2]}",
        "Accept: application/json",
        "Connection: close",
        "User-Agent: moorage",
        f"OpenStack-API-Version: compute {MICROVERSION}",
        f"X-OpenStack-Nova-API-Version: {MICROVERSION}",
        f"X-Auth-Token: {token}",
    )
    if any(not line.isascii() or not line.isprintable() for line in lines) or " " in parts.path:
        raise _Useless("has an address in the catalog that cannot be asked")
    return "\r\n".join((*lines, "", "")).encode()


def _feed(parser: httptools.HttpResponseParser, data: bytes) -> None:
    try:
        parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        raise _Useless("gave an answer that is not HTTP") from None


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("Compute takes too long")
    return left
