"""
A body that comes in by itself: read from its socket straight into the large buffers that it is then worked on in.

The HTTP parser copies what it passes on several times, 256 KiB at a time.  A body whose length is known needs no
parser: once its beginning has come through that, an inlet takes the connection over and gives it back after the last
byte, which it never reads past.  What nobody wants any more is read and dropped, so that the next request is found
where it begins.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

BUFFER_BYTES = 2 << 20  #: what is worked on at a time; two of them exist for one body
_DROPPED_BYTES = 256 << 10
_SLOW_S = 5.0  #: after which what has come is handed on, though it is little


class Inlet(asyncio.BufferedProtocol):
    """Reads `left` bytes of the body that `protocol` has begun to receive."""

    def __init__(self, protocol: HttpToolsProtocol, left: int) -> None:
        self._protocol, self._cycle, self._left = protocol, protocol.cycle, left
        self._filling = bytearray(min(BUFFER_BYTES, left))
        self._filled = 0
        self._ready: bytearray | None = None
        self._dropping = self._broken = self._paused = False
        self._changed = asyncio.Event()

    def begin(self) -> None:
        """From now on the connection is read by the inlet."""
        self._protocol.transport.set_protocol(self)
        self._protocol.flow.resume_reading()

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The rest of the body in large chunks; ends early where the client has gone, which `complete` tells."""
        try:
            while True:
                if self._ready is not None:
                    chunk, self._ready = self._ready, None
                    self._resume()
                    yield cast(bytes, chunk)  # nobody changes it any more
                elif not self._left or self._broken:
                    return
                else:
                    await self._wait()
        finally:
            self._drop()

    async def _wait(self) -> None:
        """A buffer is full, the client has gone, or much time has passed, after which a little is enough."""
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), _SLOW_S)
        except TimeoutError:
            if self._filled and self._ready is None:
                del self._filling[self._filled :]
                self._hand_over()

    @property
    def complete(self) -> bool:
        """Whether the whole body was there."""
        return not self._left

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go, no more than the body has."""
        return memoryview(self._filling)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """So many have come."""
        self._filled += nbytes
        self._left -= nbytes
        if not self._left:
            self._give_back()
        if self._filled < len(self._filling) and self._left:
            return
        if self._dropping:
            self._filled = 0
            self._filling = self._filling[: self._left] if self._left < len(self._filling) else self._filling
        elif self._ready is None:
            self._hand_over()
        else:
            self._pause()

    def eof_received(self) -> None:
        """The client says nothing more: as the parser's connection takes it."""
        self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, or was cut off."""
        self._broken = True
        self._changed.set()
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """For who answers."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """For who answers."""
        self._protocol.resume_writing()

    def shutdown(self) -> None:
        """The process ends: as the parser's connection does."""
        self._protocol.shutdown()

    def _hand_over(self) -> None:
        self._ready = self._filling
        self._filling = bytearray(min(BUFFER_BYTES, self._left))
        self._filled = 0
        self._changed.set()

    def _pause(self) -> None:
        """Both buffers are full, or the last one is."""
        if self._left and not self._paused:
            self._paused = True
            self._protocol.transport.pause_reading()

    def _resume(self) -> None:
        if self._filled and self._filled == len(self._filling):
            self._hand_over()
        if self._paused:
            self._paused = False
            self._protocol.transport.resume_reading()

    def _drop(self) -> None:
        """Nobody wants the rest."""
        self._dropping, self._ready = True, None
        if self._left and not self._broken:
            self._filling, self._filled = bytearray(min(_DROPPED_BYTES, self._left)), 0
            if self._paused:
                self._paused = False
                self._protocol.transport.resume_reading()

    def _give_back(self) -> None:
        """The body is over: the parser goes on with the next request."""
        protocol = self._protocol
        protocol.parser = httptools.HttpRequestParser(protocol)
        protocol.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        if not self._cycle.response_complete:
            self._cycle.more_body = False
            self._cycle.message_event.set()
        protocol.transport.set_protocol(protocol)


def intake(protocol: HttpToolsProtocol) -> Callable[[int], Any]:
    """How a request of this connection has the rest of its body, so many bytes, read by an inlet."""

    def take_over(left: int) -> Inlet:
        inlet = Inlet(protocol, left)
        inlet.begin()
        return inlet

    return take_over
