"""
A whole Moorage in the test's process, asked without sockets: the real shell, services, journal and drivers.

`Cloud.call` sends one request through the ASGI application on an event loop of its own thread and gives back what a
client would have seen. Concurrency is real: call it from as many threads as wanted.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from moorage.app import App, build
from moorage.config import Config
from moorage.stopping import stop_data_plane
from tests import schema
from tests.eventloop import EventLoop


@dataclass(frozen=True)
class Reply:
    """What a client sees."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """The text of a fault."""
        return str(next(iter(self.json.values()))["message"])


class Cloud:
    """One app, and who talks to it. `as_` names a cloud of clouds.yaml: "moorage" (demo, member) or "moorage-admin"."""

    def __init__(self, config: Config, role: str = "up") -> None:
        schema.begin(config.database_url)
        self.app: App = build(config, role)
        self._loop = EventLoop()
        self._tokens: dict[str, str] = {}
        self.app.start()

    def call(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        as_: str | None = "moorage",
        headers: Mapping[str, str] | None = None,
        content: bytes | Iterable[bytes] | None = None,
        local: bool = False,
        cut: bool = False,
    ) -> Reply:
        """
        Send one request; `content` is sent as it is (in chunks, if it is an iterable; `cut`: the client goes before its
        end).
        """
        sent = {"host": "127.0.0.1:8790", **{k.lower(): v for k, v in (headers or {}).items()}}
        if as_ is not None and "x-auth-token" not in sent:
            sent["x-auth-token"] = self.token(as_)
        if body is not None:
            sent.setdefault("content-type", "application/json")
            content = json.dumps(body).encode()
        chunks = (
            [content]
            if isinstance(content, bytes)
            else list(content)
            if isinstance(content, list | tuple)
            else content or ()
        )
        if isinstance(content, bytes):
            sent["content-length"] = str(len(content))
        exchange = self._exchange(method, url, sent, iter(chunks), local, cut)
        return self._loop.run(exchange, 120)

    def token(self, as_: str = "moorage") -> str:
        """A token of one of the clouds in clouds.yaml."""
        if as_ not in self._tokens:
            auth = yaml.safe_load(self.app.place.clouds.read_text())["clouds"][as_]["auth"]
            user = {
                "name": auth["username"],
                "domain": {"name": auth.get("user_domain_name", "Default")},
                "password": auth["password"],
            }
            scope = {
                "project": {
                    "name": auth["project_name"],
                    "domain": {"name": auth.get("project_domain_name", "Default")},
                }
            }
            asked = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
            reply = self.call("POST", "/identity/v3/auth/tokens", asked, as_=None)
            assert reply.status == 201, reply.body
            self._tokens[as_] = reply.headers["x-subject-token"]
        return self._tokens[as_]

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], chunks: Iterator[bytes], local: bool, cut: bool
    ) -> Reply:
        parts = urlsplit(url)
        scope = {
            "type": "http",
            "method": method,
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "scheme": "http",
            "server": ("127.0.0.1", 8790),
            "headers": [(k.encode(), v.encode("latin-1")) for k, v in headers.items()],
            "state": {"peer_uid": 0} if local else {},
        }
        start: dict[str, Any] = {}
        body = bytearray()
        over = asyncio.Event()
        sent_all = False

        async def receive() -> dict[str, Any]:
            nonlocal sent_all
            if sent_all:
                if not cut:
                    await over.wait()
                return {"type": "http.disconnect"}
            chunk = await asyncio.to_thread(next, chunks, None)
            if chunk is None:
                sent_all = True
                return {"type": "http.disconnect"} if cut else {"type": "http.request", "body": b"", "more_body": False}
            return {"type": "http.request", "body": chunk, "more_body": True}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                body.extend(message.get("body", b""))

        await self.app.shell(scope, receive, send)
        over.set()
        if not start:
            return Reply(0, {}, b"")
        return Reply(start["status"], {k.decode(): v.decode("latin-1") for k, v in start["headers"]}, bytes(body))

    def close(self) -> None:
        """Stop the app, and the storage daemons that it looks after."""
        if self.app.lock.held:
            for _ in stop_data_plane(self.app.rooms):
                pass
        self.app.stop()
        self._loop.close()


@contextmanager
def running(state: Path, database_url: str = "", **changes: Any) -> Iterator[Cloud]:
    """A cloud on the state directory `state`."""
    cloud = Cloud(replace(Config(state=state, database=database_url), **changes))
    try:
        yield cloud
    finally:
        cloud.close()
