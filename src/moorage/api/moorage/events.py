"""Events: each committed change, in the order of the commits; as a list, or as a stream of server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec

from moorage.api.request import Answer, Request
from moorage.api.views import moment
from moorage.core.caller import Caller
from moorage.core.errors import Forbidden, Malformed, Problem, Unauthenticated
from moorage.operations import events
from moorage.operations.events import Wanted

MOST = 1000
BEAT_S = 15.0  #: a stream on which nothing happens says so that often
RECHECK_S = 60.0  #: how often a stream's token is looked at again
RETRY_MS = 2000  #: when a reader that was cut off comes back
STREAM = "text/event-stream"
QUERY = ("since", "latest", "limit", "kind", "resource_id", "project_id", "what")
#: Kept headers: nobody between us and the reader holds a stream back.
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


def index(request: Request) -> Answer:
    """The events that the caller may see, oldest first; as a stream, those that are still to come as well."""
    wanted = _wanted(request)
    if STREAM in request.headers.get("accept", ""):
        return _stream(request, wanted)
    limit, latest = _number(request, "limit", MOST), request.asked("latest")
    with request.read() as tx:
        start = _start(request)
        if latest is not None:
            found = events.latest(tx, min(_number(request, "latest", MOST), MOST), wanted)
        else:
            if start is not None:
                events.may_resume(tx, start)
            found = events.since(tx, start or 0, min(limit, MOST), wanted)
        more = latest is None and len(found) == min(limit, MOST)
        up_to = found[-1]["id"] if more and found else (start or 0) if more else events.newest(tx)
    return Answer(body={"events": [shown(event) for event in found], "next": up_to})


def _stream(request: Request, wanted: Wanted) -> Answer:
    tail = request.rooms.tail
    tail.must_have_room()
    with request.read() as tx:
        start = _start(request)
        if start is not None:
            events.may_resume(tx, start)
        position = events.newest(tx) if start is None else start
    return Answer(content_type=STREAM, headers=HEADERS, live=lambda: _told(request, wanted, position))


async def _told(request: Request, wanted: Wanted, position: int) -> AsyncGenerator[bytes]:
    """The stream. The number of what was looked at last is always said: from there a reader goes on."""
    loop = asyncio.get_running_loop()
    checked = loop.time()
    yield f"retry: {RETRY_MS}\nid: {position}\n\n".encode()
    try:
        async with aclosing(request.rooms.tail.follow(position, wanted, BEAT_S)) as batches:
            async for found, up_to in batches:
                if loop.time() - checked > RECHECK_S:
                    await request.files(_still(request))
                    checked = loop.time()
                if found:
                    yield b"".join(_message(event) for event in found)
                else:
                    yield f": nothing new\nid: {up_to}\n\n".encode()
    except Problem as problem:  # too late for a status: the reader is told, and has to begin anew
        said = {"code": problem.code, "message": problem.sentence, "status": problem.status}
        yield b"event: error\ndata: " + msgspec.json.encode({"error": said}) + b"\n\n"


def _still(request: Request) -> Callable[[], None]:
    """Raise `Unauthenticated` where the token that the stream was opened with is no longer good for it."""

    def check() -> None:
        if request.headers.get("x-auth-token"):
            now: Caller = request.rooms.identity.caller(request.headers, request.request_id)
            if (now.is_admin, now.project_id) != (request.caller.is_admin, request.caller.project_id):
                raise Unauthenticated()

    return check


def _message(event: Mapping[str, Any]) -> bytes:
    return b"id: %d\ndata: %s\n\n" % (event["id"], msgspec.json.encode(shown(event)))


def shown(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event on the wire."""
    return {
        "id": event["id"],
        "at": moment(event["at"]),
        "what": event["what"],
        "kind": event["resource_kind"],
        "resource_id": event["resource_id"],
        "project_id": event["project_id"],
        "request_id": event["request_id"] or None,
        "facts": event["facts"],
    }


def _wanted(request: Request) -> Wanted:
    caller, project = request.caller, request.asked("project_id")
    if not caller.is_admin:
        if caller.project_id is None or project not in (None, caller.project_id):
            raise Forbidden(action="moorage:events:all_projects")
        project = caller.project_id
    return Wanted(project, request.asked("kind"), request.asked("resource_id"), request.asked("what"))


def _start(request: Request) -> int | None:
    """The event after which to begin: what the reader has seen last, by header where it comes back to a stream."""
    back = request.headers.get("last-event-id") if STREAM in request.headers.get("accept", "") else None
    if back is not None:
        return _parsed("Last-Event-ID", back)
    return _number(request, "since", 0) if request.asked("since") is not None else None


def _number(request: Request, name: str, default: int) -> int:
    text = request.asked(name)
    return default if text is None else _parsed(name, text)


def _parsed(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Malformed(reason=f"{name} is a number.")
    return int(text)
