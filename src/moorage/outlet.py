"""
A file sent as it is: the kernel copies it into the socket, and its bytes are never in this process.

The work is done by worker threads in slices: as long as the client takes what it is sent a thread goes on with it, and
where it does not the event loop waits for it, so that slow clients take no thread.
"""

import asyncio
import os
import select
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

SLICE_BYTES = 32 << 20  #: after which a thread does something else first
_GRACE_MS = 2  #: how long a thread waits for a client that has just taken something

OnFiles = Callable[[Callable[[], Any]], Awaitable[Any]]


class Outlet:
    """One file on its way to a client, as the body of the answer that `cycle` has begun."""

    def __init__(self, cycle: RequestResponseCycle, file: int, offset: int, length: int) -> None:
        self._cycle, self._file, self._at, self._left = cycle, file, offset, length
        self._socket = -1

    async def send(self, on_files: OnFiles, gone: "asyncio.Future[None]") -> bool:
        """Send it; whether all of it was sent. `EOFError` where the file is too short."""
        length = self._left
        if not await self._headers_sent(gone):
            return False
        self._socket = os.dup(self._cycle.transport.get_extra_info("socket").fileno())
        try:
            while self._left and not gone.done():
                working = asyncio.ensure_future(on_files(self._slice))
                try:
                    blocked = await asyncio.shield(working)
                except asyncio.CancelledError:
                    await asyncio.wait({working})  # the descriptors stay until nobody uses them any more
                    raise
                if blocked:
                    await self._writable(gone)
        except (BrokenPipeError, ConnectionResetError):
            return False
        finally:
            os.close(self._socket)
        if not self._left:
            self._cycle.expected_content_length -= length  # it counts what passes through itself
        return not self._left

    async def _headers_sent(self, gone: "asyncio.Future[None]") -> bool:
        transport = self._cycle.transport
        await asyncio.sleep(0)  # the loop writes at the end of its turn
        if transport.get_write_buffer_size() and not transport.is_closing():
            transport.set_write_buffer_limits(high=0)  # from now on it is drained when it is empty
            drained = asyncio.ensure_future(self._cycle.flow.drain())
            try:
                await asyncio.wait({drained, gone}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                drained.cancel()
                if not transport.is_closing():
                    transport.set_write_buffer_limits()
        return not gone.done() and not transport.is_closing()

    def _slice(self) -> bool:
        """Send on; whether it is the client that keeps us from it. On a worker thread."""
        until = max(0, self._left - SLICE_BYTES)
        while self._left > until:
            try:
                sent = os.sendfile(self._socket, self._file, self._at, min(self._left, SLICE_BYTES))
            except BlockingIOError:
                if not _ready(self._socket):
                    return True
                continue
            if not sent:
                raise EOFError(f"a file is {self._left} bytes short")
            self._at += sent
            self._left -= sent
        return False

    async def _writable(self, gone: "asyncio.Future[None]") -> None:
        loop = asyncio.get_running_loop()
        writable = asyncio.Event()
        loop.add_writer(self._socket, writable.set)
        waiting = asyncio.ensure_future(writable.wait())
        either: set[asyncio.Future[Any]] = {waiting, gone}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            loop.remove_writer(self._socket)


def _ready(socket: int) -> bool:
    poll = select.poll()
    poll.register(socket, select.POLLOUT)
    return bool(poll.poll(_GRACE_MS))


def outlet(cycle: RequestResponseCycle) -> Callable[..., Any]:
    """How the answer to this request has a part of an open file sent."""
    return partial(Outlet, cycle)
