"""
Block Storage by itself: the real shell, service, journal, runner and database; tokens are names, bytes are in memory
unless a test brings another backend.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from moorage.api.block_storage.service import BlockStorageService
from moorage.api.shell import Shell
from moorage.config import BackendSettings, StoreSettings
from moorage.core.caller import Caller
from moorage.core.errors import Unauthenticated
from moorage.database import Database
from moorage.database.migrate import upgrade
from moorage.drivers.backends.memory import MemoryBackend
from moorage.drivers.connectors.memory import MemoryDevices
from moorage.flows.registry import FLOWS
from moorage.flows.rooms import Rooms
from moorage.images.settings import ImageSettings
from moorage.operations.process import Process
from moorage.operations.runner import Runner
from moorage.operations.waiting import Ends
from moorage.volumes.backend import Backend
from moorage.volumes.bootstrap import bootstrap
from moorage.volumes.settings import VolumeSettings
from tests import schema
from tests.cloud import Reply
from tests.eventloop import EventLoop

HOST = "here"
DEMO, OTHER = "d" * 32, "0" * 32

_MEMBER = frozenset({"member", "reader"})
_ADMIN = frozenset({"admin", "manager", *_MEMBER})
CALLERS = {
    "demo": Caller("u-demo", DEMO, roles=_MEMBER),
    "friend": Caller("u-friend", DEMO, roles=_MEMBER),
    "reader": Caller("u-reader", DEMO, roles=frozenset({"reader"})),
    "other": Caller("u-other", OTHER, roles=_MEMBER),
    "admin": Caller("u-admin", "a" * 32, roles=_ADMIN),
    "service": Caller("u-service", "5" * 32, roles=frozenset({"service"})),
    "nova": Caller("u-demo", DEMO, roles=_MEMBER, service_roles=frozenset({"service"})),
    "nowhere": Caller("u-demo", None, roles=frozenset()),
}


def settings(**volumes: Any) -> SimpleNamespace:
    """The part of the configuration that Block Storage reads."""
    return SimpleNamespace(
        volumes=VolumeSettings(**volumes),
        images=ImageSettings(),
        backends=(BackendSettings("files", "memory"),),
        stores=(StoreSettings("memory", "memory"),),
    )


def authenticate(headers: Mapping[str, str], request_id: str) -> Caller:
    """Whose name the token is."""
    caller = CALLERS.get(headers.get("x-auth-token", ""))
    if caller is None:
        raise Unauthenticated()
    return caller


class Rig:
    """One process of Moorage that only knows volumes."""

    def __init__(self, url: str, state: Path, *, backend: Backend | None = None, **configured: Any) -> None:
        schema.begin(url)
        self.database = Database(url)
        upgrade(self.database)
        self.backend = backend or MemoryBackend()
        self.devices = MemoryDevices()
        self.rooms = Rooms(
            database=self.database,
            state=state,
            run=state,
            host=HOST,
            backends={"files": self.backend},
            devices=self.devices,
            settings=settings(**configured),
        )
        with self.database.write() as tx:
            bootstrap(tx)
        self.sql = ThreadPoolExecutor(1 if self.database.dialect == "sqlite" else 4)
        self.files = ThreadPoolExecutor(2)
        self.runner = Runner(self.database, FLOWS, self.rooms, Process.this("up", HOST), [f"host:{HOST}", "any"])
        ends = Ends(self.database, self.files)
        self.shell = Shell(self.rooms, [BlockStorageService()], authenticate, ends, self.sql, self.files)
        self.loop = EventLoop()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        as_: str | None = "demo",
        version: str | None = "3.71",
        content: bytes | None = None,
        **headers: str,
    ) -> Reply:
        """Send one request; `path` is below `/volume/v3`."""
        sent = {"host": "cloud:8790", **{key.replace("_", "-"): value for key, value in headers.items()}}
        if as_ is not None:
            sent["x-auth-token"] = as_
        if version is not None:
            sent.setdefault("openstack-api-version", f"volume {version}")
        if body is not None:
            sent.setdefault("content-type", "application/json")
            content = json.dumps(body).encode()
        url = path if path.startswith("/volume/") else f"/volume/v3{path}"
        return self.loop.run(self._send(method, url, sent, content or b""), 60)

    async def _send(self, method: str, url: str, headers: Mapping[str, str], content: bytes) -> Reply:
        parts = urlsplit(url)
        scope = {
            "type": "http",
            "method": method,
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "scheme": "http",
            "server": ("cloud", 8790),
            "headers": [(key.encode(), value.encode("latin-1")) for key, value in headers.items()],
            "state": {},
        }
        sent, over = [{"type": "http.request", "body": content, "more_body": False}], asyncio.Event()
        start: dict[str, Any] = {}
        answer = bytearray()

        async def receive() -> dict[str, Any]:
            if sent:
                return sent.pop()
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                answer.extend(message.get("body", b""))

        await self.shell(scope, receive, send)
        over.set()
        return Reply(start["status"], {k.decode(): v.decode() for k, v in start["headers"]}, bytes(answer))

    def volume(self, as_: str = "demo", **asked: Any) -> str:
        """The id of a new volume that is available."""
        reply = self.call("POST", "/volumes", {"volume": {"size": 1, **asked}}, as_)
        assert reply.status == 202, reply.body
        id: str = reply.json["volume"]["id"]
        assert self.settled(id) == "available"
        return id

    def settled(self, id: str) -> str:
        """The volume's status once nothing is under way on it; "gone" when it is gone."""
        for _ in range(2000):
            reply = self.call("GET", f"/volumes/{id}", as_="admin")
            if reply.status == 404:
                return "gone"
            status = str(reply.json["volume"]["status"])
            if status not in ("creating", "deleting", "extending"):
                return status
            time.sleep(0.01)
        raise AssertionError(f"volume {id} stays {status}")

    def status(self, id: str) -> str:
        """The volume's status."""
        return str(self.call("GET", f"/volumes/{id}", as_="admin").json["volume"]["status"])

    def attach(self, id: str, as_: str = "demo", instance: str | None = None, **connector: Any) -> dict[str, Any]:
        """A new attachment of the volume, completed; it is published over NBD where a connector is given."""
        asked: dict[str, Any] = {"volume_uuid": id, "connector": {"nbd": True, **connector} if connector else None}
        if instance:
            asked["instance_uuid"] = instance
        reply = self.call("POST", "/attachments", {"attachment": asked}, as_)
        assert reply.status == 200, reply.body
        claim: dict[str, Any] = reply.json["attachment"]
        done = self.call("POST", f"/attachments/{claim['id']}/action", {"os-complete": None}, as_)
        assert done.status == 204, done.body
        return claim

    def close(self) -> None:
        """Stop it."""
        self.runner.stop()
        self.loop.close()
        self.sql.shutdown(wait=True)
        self.files.shutdown(wait=True)
        self.database.close()


@contextmanager
def running(url: str, state: Path, **more: Any) -> Iterator[Rig]:
    """A rig whose runner works."""
    rig = Rig(url, state, **more)
    rig.runner.start()
    try:
        yield rig
    finally:
        rig.close()
