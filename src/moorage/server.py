"""
The server: one event loop that serves the API on TCP and, for root and Moorage's own user on this host, on the agent's
socket.

SIGTERM and SIGINT stop the control plane and nothing else: storage daemons go on, and the next start adopts them.
"""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from moorage.app import App
from moorage.core.errors import Problem
from moorage.inlet import intake
from moorage.outlet import outlet

log = logging.getLogger(__name__)

GRACE_S = 1


class AddressTaken(Problem):
    """Something else listens on {address} already."""

    code = "server.address-taken"


class AddressUnusable(Problem):
    """Nobody can listen on {address}: {reason}"""

    code = "server.address-unusable"


class Protocol(HttpToolsProtocol):
    """Lets the shell cut a client off that takes nothing of what it asked for, and move large bodies itself."""

    def connection_made(self, transport: Any) -> None:
        """Tell the shell how."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "cut_off": transport.abort, "inlet": intake(self)}

    def on_headers_complete(self) -> None:
        """The same for this request alone: the next one may have come before its answer is sent."""
        super().on_headers_complete()
        if self.cycle is not None and self.cycle.scope is self.scope:  # a refused upgrade has none of its own
            self.scope["state"]["outlet"] = outlet(self.cycle)


class LocalProtocol(Protocol):
    """Admits root and Moorage's own user; tells the shell that the request is a local one."""

    def connection_made(self, transport: Any) -> None:
        """Look at who is at the other end before a byte is read."""
        peer = transport.get_extra_info("socket").getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
        )
        _, uid, _ = struct.unpack("3i", peer)
        super().connection_made(transport)
        if uid in (0, os.geteuid()):
            self.app_state = {**self.app_state, "peer_uid": uid}
        else:
            transport.abort()


class _Listener(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # `Server` does that, for all listeners at once


class Server:
    """Serves one app until it is told to stop."""

    def __init__(self, app: App, ready: Callable[[], None] = lambda: None) -> None:
        self._app, self._ready = app, ready
        self._listeners: list[_Listener] = []

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        with asyncio.Runner(loop_factory=_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        sockets = [(s, p) for s, p in ((self._tcp(), Protocol), (self._unix(), LocalProtocol)) if s is not None]
        for _, protocol in sockets:
            config = uvicorn.Config(
                self._app.shell,
                http=protocol,
                lifespan="off",
                access_log=False,
                log_config=None,
                timeout_graceful_shutdown=GRACE_S,
                server_header=False,
                timeout_keep_alive=75,
                h11_max_incomplete_event_size=None,
                backlog=2048,
            )
            self._listeners.append(_Listener(config))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        self._app.start()
        for s, _ in sockets:
            s.listen(2048)  # from here on whoever connects is served, as soon as the loop comes to it
        self._ready()
        try:
            await asyncio.gather(
                *(listener.serve(sockets=[s]) for listener, (s, _) in zip(self._listeners, sockets, strict=True))
            )
        finally:
            self._app.stop()

    def stop(self) -> None:
        """Stop listening, give requests a moment, end."""
        self._app.rooms.tail.close()  # those who follow would stay for ever
        self._app.ends.close()  # those who wait are told to ask again, while there is time to tell them
        for listener in self._listeners:
            listener.should_exit = True

    def _tcp(self) -> socket.socket | None:
        if self._app.role not in ("up", "api"):
            return None
        host, _, port = self._app.config.listen.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host.strip("[]"), int(port)))
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE:
                raise AddressTaken(address=self._app.config.listen) from None
            raise AddressUnusable(address=self._app.config.listen, reason=problem.strerror or problem) from None
        return listener

    def _unix(self) -> socket.socket | None:
        if self._app.role not in ("up", "host"):
            return None
        path = self._app.place.agent
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
        return listener


def _loop() -> asyncio.AbstractEventLoop:
    return uvloop.new_event_loop()
