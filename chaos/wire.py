"""
Moorage's HTTP as a client meets it: one request on a connection of its thread's, or repeats until somebody answers.

`call` never retries.  `insist` does what a client that wants its answer does: it goes to the next endpoint when one is
gone, silent or busy, and sends the same call again, with the same `Moorage-Key` where the call makes something.
"""

import http.client
import json
import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

VERSION = "volume 3.54"
AGAIN = frozenset({503, 504})
PAUSE_S = 0.2
DOMAIN = {"domain": {"name": "Default"}}


class Unreachable(Exception):
    """Nobody answered."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def sentence(self) -> str:
        """What a refusal says."""
        try:
            (fault,) = self.json.values()
            return str(fault.get("message", fault))[:300]
        except (ValueError, AttributeError):
            return self.body[:300].decode(errors="replace")


Heard = Callable[[str, str, Answer], None]


class Wire:
    """The calls of one user (a cloud of clouds.yaml) to any of several endpoints on this machine."""

    def __init__(
        self,
        ports: Sequence[int],
        auth: Mapping[str, str],
        *,
        service: "Wire | None" = None,
        timeout_s: float = 90.0,
        heard: Heard = lambda method, path, answer: None,
    ) -> None:
        """`auth` is as in clouds.yaml. With a `service`, its token vouches for the user's, as Compute's does."""
        self._ports, self._timeout_s, self._heard = tuple(ports), timeout_s, heard
        self._auth, self._service = auth, service
        self._guard, self._token, self._turn = threading.Lock(), "", 0
        self._local = threading.local()

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request, sent once."""
        sent = {"X-Auth-Token": self.token(), **(headers or {})}
        if self._service is not None:
            sent["X-Service-Token"] = self._service.token()
        answer = self._send(method, path, body, sent)
        self._heard(method, path, answer)
        return answer

    def insist(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        again: Collection[int] = AGAIN,
        patience_s: float = 120.0,
    ) -> Answer:
        """
        The same request until the status of its answer is not one of `again`; `Unreachable` when that takes too long.
        """
        deadline = time.monotonic() + patience_s
        while True:
            try:
                answer = self.call(method, path, body, headers)
                if answer.status == 401:
                    self.forget()
                elif answer.status not in again:
                    return answer
                why = f"{answer.status} {answer.sentence()}"
            except Unreachable as gone:
                why = str(gone)
            if time.monotonic() > deadline:
                raise Unreachable(f"{method} {path}: {why}")
            time.sleep(PAUSE_S)

    def forget(self) -> None:
        """Log in anew next time."""
        self._token = ""
        if self._service is not None:
            self._service.forget()

    def token(self) -> str:
        """A token of the user; fetched once."""
        with self._guard:
            if not self._token:
                user = {"name": self._auth["username"], "password": self._auth["password"]} | DOMAIN
                scope = {"project": {"name": self._auth["project_name"]} | DOMAIN}
                asked = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
                answer = self._send("POST", "/identity/v3/auth/tokens", asked, {})
                if answer.status != 201:
                    raise Unreachable(f"no token: {answer.status} {answer.sentence()}")
                self._token = answer.headers["x-subject-token"]
            return self._token

    def _send(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Answer:
        content = None if body is None else json.dumps(body)
        sent = {"Content-Type": "application/json", "OpenStack-API-Version": VERSION, **headers}
        connection = self._connection()
        try:
            connection.request(method, path, content, sent)
            reply = connection.getresponse()
            answer = Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
        except (OSError, http.client.HTTPException) as gone:
            connection.close()
            self._local.connection = None
            self._turn += 1  # the next call goes elsewhere
            raise Unreachable(f"{type(gone).__name__}: {gone}") from None
        if reply.will_close:
            self._local.connection = None
        return answer

    def _connection(self) -> http.client.HTTPConnection:
        kept: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if kept is None:
            port = self._ports[self._turn % len(self._ports)]
            kept = self._local.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=self._timeout_s)
        return kept


def auth(clouds: Path, cloud: str) -> Mapping[str, str]:
    """What clouds.yaml says of a cloud's user."""
    found: Mapping[str, str] = yaml.safe_load(clouds.read_text())["clouds"][cloud]["auth"]
    return found


def service(admin: Wire) -> Mapping[str, str]:
    """The service user, whom an administrator gives a password, as he does before he sets up Compute."""
    (user,) = admin.insist("GET", "/identity/v3/users?name=service").json["users"]
    password = secrets.token_hex(16)
    changed = admin.insist("PATCH", f"/identity/v3/users/{user['id']}", {"user": {"password": password}})
    if changed.status != 200:
        raise Unreachable(f"the service user's password: {changed.status} {changed.sentence()}")
    return {"username": "service", "password": password, "project_name": "service"}
