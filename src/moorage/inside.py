"""
Our own services, asked from within: the same requests as from outside, through the same shell, without a socket.

Whoever asks blocks a thread until the answer is there. Its shell has executors and an event loop of its own, so that a
question never waits behind the requests that wait for it.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from moorage.api.shell import Shell
from moorage.client.wire import ClientError, Refusal, Unreachable
from moorage.core.errors import Problem
from moorage.identity.deputy import TOKEN_TTL_S

PATIENCE_S = 90.0  #: longer than a request waits
PREFIXES = {"block-storage": "/volume/v3"}

Build = Callable[[ThreadPoolExecutor, ThreadPoolExecutor], Shell]


class Inside:
    """A session with ourselves, in the name of Moorage's own user. Made at once, started with the first question."""

    def __init__(self, token: Callable[[str], str], build: Build, sql_threads: int) -> None:
        self._token, self._build, self._sql_threads = token, build, sql_threads
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pools: list[ThreadPoolExecutor] = []
        self._shell: Shell | None = None
        self._held = ("", 0.0)
        self._closed = False

    def ask(
        self,
        service: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        version: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """What our `service` answers. Anything but a success raises, as it does for a client outside."""
        kind = "volume" if service == "block-storage" else service
        sent = {"host": "moorage", "accept": "application/json", **{k.lower(): v for k, v in (headers or {}).items()}}
        sent["x-auth-token"] = self._fresh(service)
        if version is not None:
            sent["openstack-api-version"] = f"{kind} {version}"
        content = b"" if body is None else json.dumps(body).encode()
        if content:
            sent |= {"content-type": "application/json", "content-length": str(len(content))}
        loop, shell = self._started()
        asked: Future[tuple[int, bytes]] = asyncio.run_coroutine_threadsafe(
            _exchange(shell, method, PREFIXES[service] + path, sent, content), loop
        )
        try:
            status, answer = asked.result(PATIENCE_S)
        except TimeoutError:
            asked.cancel()
            raise Unreachable(f"Our own {service} has not answered for {PATIENCE_S:.0f} s.") from None
        return _read(status, answer)

    def close(self) -> None:
        """No more questions; those under way are told so."""
        with self._guard:
            self._closed = True
            loop, self._loop = self._loop, None
        if loop is not None:
            asyncio.run_coroutine_threadsafe(_cancel_all(), loop)
            loop.call_soon_threadsafe(loop.call_later, 0.2, loop.stop)
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)

    def _fresh(self, service: str) -> str:
        with self._guard:
            text, until = self._held
        if time.monotonic() < until:
            return text
        try:
            text = self._token(service)
        except Problem as problem:
            raise ClientError(f"Moorage's own user may not ask {service}: {problem.sentence}") from None
        with self._guard:
            self._held = text, time.monotonic() + TOKEN_TTL_S / 5
        return text

    def _started(self) -> tuple[asyncio.AbstractEventLoop, Shell]:
        with self._guard:
            if self._closed:
                raise Unreachable("This process of Moorage is ending.")
            if self._loop is None or self._shell is None:
                self._pools = [
                    ThreadPoolExecutor(self._sql_threads, thread_name_prefix="inside-sql"),
                    ThreadPoolExecutor(2, thread_name_prefix="inside-files"),
                ]
                self._shell = self._build(*self._pools)
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="inside", daemon=True).start()
            return self._loop, self._shell


async def _exchange(shell: Shell, method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
    path, _, query = url.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "scheme": "http",
        "server": ("moorage", 80),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        "state": {},
    }
    over, start, content, sent = asyncio.Event(), {"status": 0}, bytearray(), False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            await over.wait()
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            start["status"] = message["status"]
        else:
            content.extend(message.get("body", b""))

    await shell(scope, receive, send)
    over.set()
    return start["status"], bytes(content)


def _read(status: int, answer: bytes) -> Any:
    try:
        body = json.loads(answer) if answer.strip() else None
    except ValueError:
        body = None
    if not 200 <= status < 300:
        told = next((v["message"] for v in (body or {}).values() if isinstance(v, dict) and "message" in v), None)
        raise Refusal(status, str(told or f"status {status}"))
    return body


async def _cancel_all() -> None:
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
