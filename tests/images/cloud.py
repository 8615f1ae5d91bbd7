"""
Image v2 alone, in the test's process: the real shell, journal, runner, database and stores, asked without sockets.

Who asks is given by name from the table below, so that every role and project is at hand; the way from a token to a
caller is Identity's, and tested there.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from moorage.api.image.service import ImageService
from moorage.api.moorage.service import MoorageService
from moorage.api.shell import Shell
from moorage.config import Config, StoreSettings
from moorage.core.caller import Caller
from moorage.core.errors import Unauthenticated
from moorage.database import Database
from moorage.drivers.stores.files import FilesStore
from moorage.flows.images.clear import STAGING
from moorage.flows.registry import FLOWS
from moorage.flows.rooms import Rooms
from moorage.images.settings import ImageSettings
from moorage.images.store import Store
from moorage.operations.process import Process
from moorage.operations.runner import Runner
from moorage.operations.waiting import Ends
from tests.eventloop import EventLoop

READER, MEMBER = frozenset({"reader"}), frozenset({"reader", "member"})
ADMIN = frozenset({"reader", "member", "manager", "admin"})

CALLERS = {
    "alice": Caller("alice", "project-a", roles=MEMBER),
    "anna": Caller("anna", "project-a", roles=READER),
    "bob": Caller("bob", "project-b", roles=MEMBER),
    "carol": Caller("carol", "project-c", roles=MEMBER),
    "root": Caller("root", "project-r", roles=ADMIN),
    "system": Caller("system", system=True, roles=ADMIN),
    "cinder": Caller("cinder", "project-s", roles=frozenset({"service", "reader"})),
    "nobody": Caller("nobody", "project-a"),
}

BYTES = {"content-type": "application/octet-stream"}
PATCH = {"content-type": "application/openstack-images-v2.1-json-patch"}
PATCH_2_0 = {"content-type": "application/openstack-images-v2.0-json-patch"}
JSON = {"accept": "application/json"}


@dataclass(frozen=True)
class Reply:
    """What a client sees; `broken` when the connection broke before the end of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    broken: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ImageCloud:
    """One process that serves Image v2."""

    def __init__(self, database: Database, state: Path, stores: Mapping[str, Store], config: Config) -> None:
        self.database, self.stores = database, stores
        me = Process.this("up")
        self.rooms = Rooms(
            database=database,
            state=state,
            run=state,
            host="here",
            process=me.id,
            flows=FLOWS,
            stores=stores,
            default_store=config.default_store,
            staging=FilesStore(STAGING, state),
            settings=config,
        )
        self.runner = Runner(database, FLOWS, self.rooms, me, {"any"})
        self.rooms.runner = self.runner
        self._sql = ThreadPoolExecutor(1 if database.dialect == "sqlite" else 4)
        self._files = ThreadPoolExecutor(4)
        ends = Ends(database, self._files)
        self.shell = Shell(self.rooms, [ImageService(), MoorageService()], _caller, ends, self._sql, self._files)
        self._loop = EventLoop()
        self.runner.start()

    def call(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        as_: str | None = "alice",
        headers: Mapping[str, str] | None = None,
        content: bytes | Iterable[bytes] | None = None,
        cut: bool = False,
    ) -> Reply:
        """Send one request; `content` may be chunks (`cut`: the client goes before their end)."""
        sent = {"host": "cloud", **{name.lower(): value for name, value in (headers or {}).items()}}
        if as_ is not None:
            sent["x-auth-token"] = as_
        if body is not None:
            sent.setdefault("content-type", "application/json")
            content = json.dumps(body).encode()
        if isinstance(content, bytes):
            sent.setdefault("content-length", str(len(content)))
        chunks = iter([content] if isinstance(content, bytes) else content or ())
        exchange = self._exchange(method, url, sent, chunks, cut)
        return self._loop.run(exchange, 120)

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], chunks: Iterator[bytes], cut: bool
    ) -> Reply:
        parts = urlsplit(url)
        scope = {
            "type": "http",
            "method": method,
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        }
        start: dict[str, Any] = {}
        got, over, ended = bytearray(), asyncio.Event(), False

        async def receive() -> dict[str, Any]:
            nonlocal ended
            if ended:
                if not cut:
                    await over.wait()
                return {"type": "http.disconnect"}
            chunk = await asyncio.to_thread(next, chunks, None)
            if chunk is not None:
                return {"type": "http.request", "body": chunk, "more_body": True}
            ended = True
            return {"type": "http.disconnect"} if cut else {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                got.extend(message.get("body", b""))

        broken = False
        try:
            await self.shell(scope, receive, send)
        except Exception:
            broken = True
        over.set()
        if not start:
            return Reply(0, {}, b"", broken)
        named = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
        return Reply(start["status"], named, bytes(got), broken)

    def image(self, *, as_: str = "alice", **body: Any) -> str:
        """The id of a new image, which is bare and raw unless `body` says something else."""
        reply = self.call(
            "POST", "/image/v2/images", {"disk_format": "raw", "container_format": "bare", **body}, as_=as_
        )
        assert reply.status == 201, reply.body
        return str(reply.json["id"])

    def filled(self, content: bytes = b"some data", *, as_: str = "alice", **body: Any) -> str:
        """The id of a new image that has data."""
        id = self.image(as_=as_, **body)
        reply = self.upload(id, content, as_=as_)
        assert reply.status == 204, reply.body
        return id

    def upload(self, id: str, content: bytes | Iterable[bytes], *, as_: str = "alice", **more: Any) -> Reply:
        """PUT the data of an image."""
        headers = {**BYTES, **JSON, **more.pop("headers", {})}
        return self.call("PUT", f"/image/v2/images/{id}/file", content=content, headers=headers, as_=as_, **more)

    def show(self, id: str, as_: str = "root") -> Any:
        """The image as an administrator sees it."""
        return self.call("GET", f"/image/v2/images/{id}", as_=as_).json

    def close(self) -> None:
        self.runner.stop()
        self._loop.close()
        self._sql.shutdown()
        self._files.shutdown()


def _caller(headers: Mapping[str, str], request_id: str) -> Caller:
    name = headers.get("x-auth-token", "")
    if name not in CALLERS:
        raise Unauthenticated()
    return replace(CALLERS[name], request_id=request_id)


@contextmanager
def running(
    database: Database, state: Path, stores: Mapping[str, Store] | None = None, **settings: Any
) -> Iterator[ImageCloud]:
    """A cloud with these stores (one of files, unless said otherwise; the first is the default) and image settings."""
    found = stores if stores is not None else {"files": FilesStore("files", state)}
    described = tuple(StoreSettings(id=id, description=f"about {id}", weight=n) for n, id in enumerate(found))
    config = Config(state=state, images=ImageSettings(**settings), stores=described)
    cloud = ImageCloud(database, state, found, config)
    try:
        yield cloud
    finally:
        cloud.close()
