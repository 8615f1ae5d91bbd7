"""Bodies in and out: read whole within a limit, or in chunks; sent from memory, from a file or from an iterator."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import aclosing
from functools import partial
from typing import Any, TypeVar

import msgspec

from moorage.api.request import Answer
from moorage.core.errors import TooLarge

T = TypeVar("T")
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
OnFiles = Callable[[Callable[[], Any]], Awaitable[Any]]

CHUNK = 1 << 20
SLOW_S = 30.0  #: who takes nothing of a live answer for so long is cut off


class ClientGone(Exception):
    """The client closed the connection; nobody is there to be answered."""


async def read_body(receive: Receive, headers: Mapping[str, str], limit: int) -> bytes:
    """The whole body, at most `limit` bytes of it."""
    if int(headers.get("content-length") or 0) > limit:
        raise TooLarge(reason=f"The request body is larger than {limit} bytes.")
    body = bytearray()
    async for chunk in chunks_of(receive):
        body += chunk
        if len(body) > limit:
            raise TooLarge(reason=f"The request body is larger than {limit} bytes.")
    return bytes(body)


async def chunks_of(receive: Receive) -> AsyncIterator[bytes]:
    """The body as it arrives. A client that leaves before its end raises `ClientGone`: never mistaken for the end."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone()
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body"):
            return


async def body_of(receive: Receive, headers: Mapping[str, str], means: Mapping[str, Any]) -> AsyncGenerator[bytes]:
    """A body that may be large, as it arrives: by an inlet, where the server has them and the length is known."""
    take_over, length = means.get("inlet"), headers.get("content-length")
    if take_over is None or length is None or "transfer-encoding" in headers:
        async for chunk in chunks_of(receive):
            yield chunk
        return
    left = int(length)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone()
    first = message.get("body", b"")
    left -= len(first)
    if not message.get("more_body"):
        if first:
            yield first
        return
    inlet = take_over(left)  # before anything else is awaited: what comes now has to find it
    async with aclosing(inlet.chunks()) as rest:
        if first:
            yield first
        async for chunk in rest:
            yield chunk
    if not inlet.complete:
        raise ClientGone()


async def disconnected(receive: Receive) -> None:
    """Return when the client has closed the connection, or has been answered."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_at_once(answer: Answer, extra: Mapping[str, str], send: Send, head: bool) -> None:
    """Send an answer that is in memory, or with `head` what comes before any body."""
    content = answer.content
    if content is None and answer.at_once:
        content = b"" if answer.body is None else msgspec.json.encode(answer.body)
    await _begin(answer, extra, send, content)
    await send({"type": "http.response.body", "body": b"" if head else content})
    if answer.file is not None:
        answer.file.close()


async def send_answer(
    answer: Answer,
    extra: Mapping[str, str],
    send: Send,
    on_files: OnFiles,
    gone: "asyncio.Future[None]",
    outlet: Callable[..., Any] | None = None,
) -> None:
    """
    Send an answer that takes its time, until `gone` is done: nobody listens any more. A body that breaks off is never
    cleanly ended. `ClientGone` where a live answer's reader has taken nothing for too long: cut him off.
    """
    await _begin(answer, extra, send, None)
    if answer.live is not None:
        async with aclosing(answer.live()) as living:
            await _send_live(living, send, gone)
        return
    if answer.first:
        await send({"type": "http.response.body", "body": answer.first, "more_body": True})
    if outlet is not None and answer.file is not None and answer.length != len(answer.first):
        if await _straight(answer, outlet, on_files, gone):
            await send({"type": "http.response.body", "body": b""})
        return
    source = _file(answer, on_files) if answer.file is not None else _iterator(answer, on_files)
    async with aclosing(source):
        async for chunk in source:
            if gone.done():
                return
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _begin(answer: Answer, extra: Mapping[str, str], send: Send, content: bytes | None) -> None:
    headers = {**extra, **{name.lower(): value for name, value in answer.headers.items()}}
    length = len(content) if content is not None else answer.length
    if length is not None and answer.status != 204:
        headers["content-length"] = str(length)
    if content or not answer.at_once:
        headers.setdefault("content-type", answer.content_type)
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})


async def _send_live(source: AsyncGenerator[bytes], send: Send, gone: "asyncio.Future[None]") -> None:
    while not gone.done():
        coming = asyncio.ensure_future(_next(source))
        either: set[asyncio.Future[Any]] = {coming, gone}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not coming.done():
                coming.cancel()
                await asyncio.wait({coming})
        if gone.done() or coming.cancelled():
            return
        chunk = coming.result()
        try:
            body = {"type": "http.response.body", "body": chunk or b"", "more_body": chunk is not None}
            await asyncio.wait_for(send(body), SLOW_S)
        except TimeoutError:
            raise ClientGone() from None
        if chunk is None:
            return


async def _next(source: AsyncGenerator[bytes]) -> bytes | None:
    return await anext(source, None)


async def _straight(
    answer: Answer, outlet: Callable[..., Any], on_files: OnFiles, gone: "asyncio.Future[None]"
) -> bool:
    """The file goes from the kernel to the client; whether all of it did."""
    assert answer.file is not None
    with answer.file as file:
        begun = len(answer.first)
        rest = outlet(file.fileno(), answer.offset + begun, (answer.length or 0) - begun)
        return bool(await rest.send(on_files, gone))


async def _file(answer: Answer, on_files: OnFiles) -> AsyncGenerator[bytes]:
    assert answer.file is not None and answer.length is not None
    begun = len(answer.first)
    left = answer.length - begun
    with answer.file as file:
        file.seek(answer.offset + begun)
        while left:
            reading = asyncio.ensure_future(on_files(partial(file.read, min(CHUNK, left))))
            try:
                chunk = await asyncio.shield(reading)
            except asyncio.CancelledError:
                await asyncio.wait({reading})  # its descriptor stays until nobody uses it any more
                raise
            if not chunk:
                raise EOFError(f"a file is {left} bytes short")
            left -= len(chunk)
            yield chunk


async def _iterator(answer: Answer, on_files: OnFiles) -> AsyncGenerator[bytes]:
    assert answer.chunks is not None
    source = answer.chunks
    while chunk := await on_files(lambda: next(source, b"")):
        yield chunk
