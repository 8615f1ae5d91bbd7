"""
The shell around all services: an ASGI application that finds the route, the caller and the version, reads and checks
the body, runs the handler where it belongs, waits for operations without a thread, and turns problems into faults.

Handlers are plain functions on a small SQL executor; only this file and `server` know that there is an event loop.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qsl, unquote

import msgspec
from sqlalchemy.exc import OperationalError

from moorage.api.handover import on
from moorage.api.patience import patience_s
from moorage.api.request import Answer, AtStore, Elsewhere, Later, Outcome, Request
from moorage.api.routes import Route
from moorage.api.service import Service
from moorage.api.streams import ClientGone, OnFiles, body_of, disconnected, read_body, send_answer, send_at_once
from moorage.api.versions import Version
from moorage.core.caller import NOBODY, Caller
from moorage.core.errors import (
    Malformed,
    NotFound,
    Problem,
    Refused,
    TimedOut,
    Unauthenticated,
    Unavailable,
    UnsupportedContent,
)
from moorage.core.ids import new_uuid
from moorage.database.engine import retried
from moorage.database.errors import DatabaseUnavailable
from moorage.flows.rooms import Rooms
from moorage.operations import journal
from moorage.operations.flow import Overdue
from moorage.operations.journal import Stored
from moorage.operations.records import State

log = logging.getLogger(__name__)

T = TypeVar("T")
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MOST_NAMED = 10  #: who is in the way, in a message
STORE_THREADS = 8  #: that one remote store may keep busy for requests
ELSEWHERE_S = 10.0  #: how long a request waits until another service was asked, for its turn to ask it included
NOBODY_YET = Caller(user_id="")


class Ends(Protocol):
    """Who knows when an operation is over."""

    async def of(self, operation: str, timeout_s: float) -> Mapping[str, Any] | None: ...


class Shell:
    """The whole of the wire."""

    def __init__(
        self,
        rooms: Rooms,
        services: list[Service],
        authenticate: Callable[[Mapping[str, str], str], Caller],
        ends: Ends,
        sql: Executor,
        files: Executor,
        *,
        public_url: str | None = None,
        asking: Executor | None = None,
    ) -> None:
        self._asking = asking or files
        self._rooms, self._authenticate, self._ends, self._sql, self._files = rooms, authenticate, ends, sql, files
        self._of_stores: dict[str, Executor] = {}
        self._services = sorted(services, key=lambda s: -len(s.prefix))
        self._public_url = public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        service = self._service(scope["path"])
        exchange = Exchange(self, service, scope, headers, receive)
        try:
            answer = await exchange.answer()
        except ClientGone:
            return
        extra = service.headers(exchange.request_id, exchange.version)
        head, means = scope["method"] == "HEAD", scope.get("state", {})
        if head or answer.at_once:
            await send_at_once(answer, extra, send, head)
            return
        gone = asyncio.ensure_future(disconnected(receive))
        try:
            on_files = self.on_store(answer.store)
            await send_answer(answer, extra, send, on_files, gone, means.get("outlet"))
        except ClientGone:
            scope.get("state", {}).get("cut_off", lambda: None)()  # set by `server`
            await asyncio.wait({gone}, timeout=1.0)
        finally:
            gone.cancel()

    def _service(self, path: str) -> Service:
        for service in self._services:
            if path == service.prefix or path.startswith(service.prefix + "/") or service.prefix == "":
                return service
        return self._services[-1]

    async def on_sql(self, work: Callable[[], T]) -> T:
        """`work` on the SQL executor."""
        return await on(self._sql, retried, work)

    async def on_files(self, work: Callable[[], T]) -> T:
        """`work` on the file executor."""
        return await on(self._files, work)

    def close(self) -> None:
        """Let go of the threads that were made here."""
        for threads in self._of_stores.values():
            threads.shutdown(wait=False, cancel_futures=True)

    def on_store(self, store: str) -> OnFiles:
        """What runs work of a store: a remote one has threads of its own, so that others do not wait for it."""
        known = self._rooms.stores.get(store)
        if known is None or not known.traits.remote:
            return self.on_files
        if store not in self._of_stores:
            self._of_stores[store] = ThreadPoolExecutor(STORE_THREADS, thread_name_prefix=f"of-{store}")
        threads = self._of_stores[store]

        async def run(work: Callable[[], T]) -> T:
            return await on(threads, work)

        return run

    async def elsewhere(self, ask: Callable[[], T]) -> T:
        """What `ask` learns from another service, on the executor for that."""
        try:
            asked = asyncio.get_running_loop().run_in_executor(self._asking, ask)
            return await asyncio.wait_for(asked, ELSEWHERE_S)
        except TimeoutError:
            raise Unavailable(reason="Another service takes too long to answer; nothing was changed.") from None

    def base(self, scope: Scope, headers: Mapping[str, str]) -> str:
        """Scheme and host that links are made of."""
        if self._public_url:
            return self._public_url.rstrip("/")
        host = headers.get("host") or "{}:{}".format(*(scope.get("server") or ("127.0.0.1", 80)))
        return f"{scope.get('scheme', 'http')}://{host}"


class Exchange:
    """One request on its way to its answer."""

    def __init__(
        self, shell: Shell, service: Service, scope: Scope, headers: Mapping[str, str], receive: Receive
    ) -> None:
        self._shell, self._service, self._scope, self._headers, self._receive = shell, service, scope, headers, receive
        self.request_id = f"req-{new_uuid()}"
        self.version: Version = (0, 0)
        self._request: Request | None = None
        self._caller = NOBODY_YET
        self._local = "peer_uid" in scope.get("state", {})  # set by `server` for connections that it has admitted

    async def answer(self) -> Answer:
        """The answer, whatever happens; only `ClientGone` gets out."""
        try:
            return await self._handle()
        except ClientGone:
            raise
        except Problem as problem:
            return self._fault(problem)
        except asyncio.CancelledError:  # the process ends, and nothing else cancels a request
            return self._fault(Unavailable(reason="This process of Moorage is ending; repeat the call."))
        except Exception as problem:
            log.exception("%s %s failed (%s)", self._scope["method"], self._scope["path"], self.request_id)
            return self._fault(DatabaseUnavailable() if isinstance(problem, OperationalError) else Problem())

    def _fault(self, problem: Problem) -> Answer:
        named = [f"{b.kind} {b.id}" for b in problem.blockers if self._caller.sees(b.project_id)]
        more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        message = problem.sentence + (f" In the way: {', '.join(named[:MOST_NAMED])}{more}." if named else "")
        return self._service.fault(problem, message, self._request, self._headers)

    async def _handle(self) -> Answer:
        shell, scope = self._shell, self._scope
        raw = scope.get("raw_path", scope["path"].encode()).decode("latin-1").split("?")[0]
        below = unquote(raw[len(self._service.prefix) :]) or "/"
        if "\x00" in below:
            raise Malformed(reason="The path has a null character in it.")
        path, project = self._service.split(below)
        candidates, params, missing = self._candidates(path)
        open_route = bool(candidates) and candidates[0].open
        if missing is not None:
            await shell.on_sql(lambda: self._enter(open_route=False, project=project))
            raise missing
        stream = candidates[0].stream
        body = b"" if stream else await read_body(self._receive, self._headers, self._service.body_limit)

        def ready() -> Request:
            self._enter(open_route, project)
            return self._ready(candidates, params, path, project, body, stream)

        def handled() -> Outcome:
            request = ready()
            outcome: Outcome = request.route.handler(request)
            return outcome

        if stream:
            request = await shell.on_sql(ready)
            return await self._streamed(request)
        outcome = await shell.on_sql(handled)
        while not isinstance(outcome, Answer):
            outcome = await self._next(outcome)
        return outcome

    async def _next(self, outcome: Later | Elsewhere | AtStore) -> Outcome:
        """What follows from an outcome that is no answer yet."""
        if isinstance(outcome, AtStore):
            return await self._shell.on_store(outcome.store)(outcome.look)  # type: ignore[no-any-return]
        if isinstance(outcome, Elsewhere):
            return await self._elsewhere(outcome)
        gone = asyncio.ensure_future(disconnected(self._receive))
        try:
            return await self._later(outcome, gone)
        finally:
            gone.cancel()

    async def _streamed(self, request: Request) -> Answer:
        """What the handler of a large body makes of it; what it leaves of it is read and dropped."""
        body = body_of(self._receive, self._headers, self._scope.get("state", {}))
        try:
            return await request.route.handler(request, body)  # type: ignore[no-any-return]
        finally:
            with contextlib.suppress(RuntimeError):  # whoever reads it has just been told to end
                await body.aclose()

    def _candidates(self, path: str) -> tuple[list[Route], Mapping[str, str], Problem | None]:
        try:
            return *self._service.table.find(self._scope["method"], path), None
        except Problem as problem:
            return [], {}, problem

    def _enter(self, open_route: bool, project: str | None) -> None:
        """Find out who asks, and at which version. Root on this host, over the agent's socket, needs no token."""
        if self._local and not self._headers.get("x-auth-token"):
            self._caller = replace(NOBODY, request_id=self.request_id)
        elif not open_route or self._headers.get("x-auth-token"):
            try:
                self._caller = self._shell._authenticate(self._headers, self.request_id)
            except Unauthenticated:
                if not open_route:
                    raise
        self.version = self._service.negotiate(self._headers)
        if (
            project is not None
            and not open_route
            and project != self._caller.project_id
            and self._caller.user_id != NOBODY.user_id
        ):
            raise Malformed(reason="Malformed request url")

    def _ready(
        self,
        candidates: list[Route],
        params: Mapping[str, str],
        path: str,
        project: str | None,
        body: bytes,
        stream: bool,
    ) -> Request:
        value = None if stream else self._decode(body)
        route = self._pick(candidates, value)
        if route.body is not None and not stream:
            route.body.check(value, self.version)
        self._request = Request(
            rooms=self._shell._rooms,
            route=route,
            method=self._scope["method"],
            url=self._shell.base(self._scope, self._headers) + self._service.prefix,
            path=path,
            params=params,
            query=_query(self._scope["query_string"]),
            headers=self._headers,
            caller=self._caller,
            version=self.version,
            request_id=self.request_id,
            body=value,
            local=self._local,
            project_in_url=project,
            sql=self._shell.on_sql,
            files=self._shell.on_files,
            on_store=self._shell.on_store,
        )
        return self._request

    def _decode(self, body: bytes) -> Any:
        if not body:
            return None
        kind = self._headers.get("content-type", "application/json").split(";")[0].strip().lower()
        if kind not in self._service.json_types:
            raise UnsupportedContent(reason=f"The content type {kind[:100]} is not supported here.")
        try:
            value = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Malformed(reason="Malformed request body") from None
        if b"\\u0000" in body and _has_null(value):
            raise Malformed(reason="The request body has a null character in a string, which no database keeps.")
        return value

    def _pick(self, candidates: list[Route], value: Any) -> Route:
        if candidates[0].action is not None:
            if not isinstance(value, dict) or len(value) != 1:
                raise Malformed(reason="Malformed request body")
            name = next(iter(value))
            candidates = [route for route in candidates if route.action == name]
            if not candidates:
                raise Refused(reason=f"There is no such action: {str(name)[:100]}")
        for route in candidates:
            if route.since <= self.version <= route.until:
                return route
        raise NotFound()

    async def _elsewhere(self, first: Elsewhere) -> Outcome:
        learnt = await self._shell.elsewhere(first.ask)
        return await self._shell.on_sql(lambda: first.go_on(learnt))

    async def _later(self, later: Later, gone: "asyncio.Future[None]") -> Answer | Later:
        """Wait, without a thread, until the operation is over, the time is over, or the client has gone."""
        end = asyncio.ensure_future(self._shell._ends.of(later.operation, patience_s(self._headers)))
        watched: set[asyncio.Future[Any]] = {end, gone}
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        row = end.result() if end.done() else None
        if row is None:
            end.cancel()
            undone = later.making and "moorage-key" not in self._headers  # a repeat with the key finds what was begun
            if undone:
                await self._shell.on_sql(
                    lambda: self._shell._rooms.database.transact(lambda tx: journal.cancel(tx, later.operation))
                )
            if gone.done():
                raise ClientGone()
            raise Overdue() if undone else TimedOut(operation=later.operation)
        failure = Stored.of(row)
        if row["state"] == State.UNDONE and failure is not None:
            raise failure
        request = self._request
        assert request is not None
        return await self._shell.on_sql(lambda: later.answer(request))


def _query(raw: bytes) -> list[tuple[str, str]]:
    """The query's names and values: not too many, and without null characters, which no database keeps."""
    try:
        found = parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=200)
    except ValueError:
        raise Malformed(reason="There are too many query parameters.") from None
    if any("\x00" in text for pair in found for text in pair):
        raise Malformed(reason="A query parameter has a null character in it.")
    return found


def _has_null(value: Any) -> bool:
    """Whether a string within `value` has a null character."""
    if isinstance(value, dict):
        return any("\x00" in key or _has_null(below) for key, below in value.items())
    if isinstance(value, list):
        return any(map(_has_null, value))
    return isinstance(value, str) and "\x00" in value
