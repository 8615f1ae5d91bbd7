"""A cloud that has Identity alone: the real shell over a real database, asked without sockets."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from moorage.api.identity.service import IdentityService
from moorage.api.shell import Shell
from moorage.database import Database, Transaction, engine
from moorage.flows.rooms import Rooms
from moorage.identity import bootstrap
from moorage.identity.settings import IdentitySettings
from moorage.identity.tokens import Tokens

BASE = "http://cloud.example:8790"


class Reply:
    """What a client sees."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.status: int = messages[0]["status"]
        self.headers = {k.decode(): v.decode() for k, v in messages[0]["headers"]}
        self.body = b"".join(m.get("body", b"") for m in messages[1:])

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Cloud:
    """One process's worth of Identity."""

    def __init__(self, database: Database, state: Path, settings: IdentitySettings) -> None:
        self.database, self.keys = database, state / "keys"
        self.tokens = Tokens(database, self.keys, settings)
        rooms = Rooms(database=database, state=state, run=state, host="here", identity=self.tokens)
        self.sql, self.files = ThreadPoolExecutor(4), ThreadPoolExecutor(2)
        self._shell = Shell(rooms, [IdentityService()], self.tokens.caller, None, self.sql, self.files)  # type: ignore[arg-type]
        self._known: dict[str, str] = {}

    def call(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Reply:
        """One request. `url` is below /identity/v3; or the whole path, if it begins with //."""
        path, _, query = url.partition("?")
        path = path[1:] if path.startswith("//") else "/identity/v3" + path
        sent = {"host": "cloud.example:8790", "content-type": "application/json", **(headers or {})}
        if token is not None:
            sent["x-auth-token"] = token
        raw = content if content is not None else b"" if body is None else json.dumps(body).encode()
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "scheme": "http",
            "headers": [(k.lower().encode(), v.encode()) for k, v in sent.items()],
            "server": ("127.0.0.1", 8790),
            "state": {},
        }
        return asyncio.run(self._ask(scope, raw))

    async def _ask(self, scope: dict[str, Any], raw: bytes) -> Reply:
        waiting = [{"type": "http.request", "body": raw, "more_body": False}]
        answered: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not waiting:
                await asyncio.sleep(3600)
            return waiting.pop()

        async def send(message: Any) -> None:
            answered.append(dict(message))

        await self._shell(scope, receive, send)
        return Reply(answered)

    def login(self, name: str, password: str | None = None, scope: Any = None, query: str = "", **user: Any) -> Reply:
        """Log in by password; users of the first start need none here."""
        who = {
            "name": name,
            "domain": {"id": "default"},
            "password": password or bootstrap.password(self.keys, name),
            **user,
        }
        auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": who}}}
        if scope is not None:
            auth["scope"] = scope
        return self.call("POST", "/auth/tokens" + query, {"auth": auth})

    def token(self, name: str, password: str | None = None, scope: Any = None) -> str:
        """A token, which must be given."""
        reply = self.login(name, password, scope)
        assert reply.status == 201, reply.body
        return reply.headers["x-subject-token"]

    @property
    def admin(self) -> str:
        """An administrator's token."""
        return self._kept("admin")

    @property
    def demo(self) -> str:
        """A plain member's token."""
        return self._kept("demo")

    def _kept(self, name: str) -> str:
        if name not in self._known:
            self._known[name] = self.token(name)
        return self._known[name]

    def made(self, noun: str, **fields: Any) -> Any:
        """What an administrator made: a project, a user, ..."""
        return self.ask("POST", f"/{noun}s", 201, {noun: fields})[noun]

    def grant(self, target: str, user: str, role: str) -> None:
        """A user has a role on a target: "projects/ID", "domains/ID", "system"."""
        self.ask("PUT", f"/{target}/users/{self.id('user', user)}/roles/{self.id('role', role)}", 204)

    def ask(self, method: str, path: str, status: int, body: Any = None) -> Any:
        """What an administrator is answered, which must have this status."""
        reply = self.call(method, path, body, token=self.admin)
        assert reply.status == status, (reply.status, reply.body)
        return reply.json if reply.body else None

    def password(self, name: str) -> str:
        """The password of a user of the first start."""
        return bootstrap.password(self.keys, name) or ""

    def id(self, noun: str, name: str) -> str:
        """The id of what has this name."""
        return str(self.ask("GET", f"/{noun}s?name={name}", 200)[f"{noun}s"][0]["id"])

    def close(self) -> None:
        self.sql.shutdown()
        self.files.shutdown()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`later(s)`: transactions begin that much later from then on, and nobody waits for it."""
    ahead_us = 0

    class Ahead(Transaction):
        def __init__(self, connection: Any, now: int, **more: Any) -> None:
            super().__init__(connection, now + ahead_us, **more)

    def wait(seconds: float) -> None:
        nonlocal ahead_us
        ahead_us += int(seconds * 1_000_000)

    monkeypatch.setattr(engine, "Transaction", Ahead)
    return wait


@pytest.fixture
def settings() -> IdentitySettings:
    return IdentitySettings()


@pytest.fixture
def cloud(database: Database, state_dir: Path, settings: IdentitySettings) -> Iterator[Cloud]:
    """A cloud at its first start, on each database."""
    bootstrap.run(database, state_dir / "keys", "RegionOne")
    made = Cloud(database, state_dir, settings)
    yield made
    made.close()
