"""
A line to a server: connected to a network address that was checked beforehand, under limits of time.

Reading waits in short turns, so that whoever wants no more bytes can say so while the server is silent.
"""

import select
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from moorage.drivers.fetch.guard import Admitted
from moorage.images.imports.fetch import SourceUnavailable

TURN_S = 1.0
_TRIES = 4  #: addresses of one name that are tried


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for, and who may end that."""

    connect_s: float
    idle_s: float
    until: float  #: by the monotonic clock
    check: Callable[[], None] | None = None  #: raises when nobody waits any more


class Authorities:
    """Who is trusted to say which server is which."""

    def __init__(self, ca_file: str = "") -> None:
        self._ca_file = ca_file

    @cached_property
    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._ca_file or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # an end that anybody on the way can make is none
        return context


class Line:
    """One connection. Whatever goes wrong with it is `SourceUnavailable`."""

    def __init__(self, to: Admitted, patience: Patience, authorities: Authorities) -> None:
        self._host, self._patience = to.target.host, patience
        self._socket = self._connect(to)
        if to.target.scheme == "https":
            try:
                self._secure(authorities.context)
            except BaseException:
                self.close()
                raise

    def _connect(self, to: Admitted) -> socket.socket:
        for address in to.addresses[:_TRIES]:
            with suppress(OSError):
                return socket.create_connection((address, to.target.port), timeout=self._patience.connect_s)
        raise self.lost("it cannot be reached")

    def _secure(self, context: ssl.SSLContext) -> None:
        """The line is encrypted, and the server has shown that it is the one that was meant."""
        until = time.monotonic() + self._patience.connect_s
        self._socket.settimeout(0)
        secured = context.wrap_socket(
            self._socket, server_hostname=self._host, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        self._socket = secured
        while True:
            try:
                return secured.do_handshake()
            except ssl.SSLWantReadError:
                self._wait(until)
            except ssl.SSLWantWriteError:
                self._wait(until, select.POLLOUT)
            except ssl.SSLCertVerificationError:
                raise self.lost("its certificate is not trusted") from None
            except OSError:
                raise self.lost("it does not speak TLS") from None

    def send(self, data: bytes) -> None:
        """Say all of `data`."""
        try:
            self._socket.settimeout(self._patience.idle_s)
            self._socket.sendall(data)
        except OSError:
            raise self.lost("it hung up") from None

    def receive(self, most: int) -> bytes:
        """The next bytes, none when the server has properly hung up."""
        idle_until = time.monotonic() + self._patience.idle_s
        while True:
            if not (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()):
                self._wait(idle_until)
            try:
                self._socket.settimeout(TURN_S)
                return self._socket.recv(most)
            except TimeoutError:
                continue  # a part of an encrypted record came, which says nothing yet
            except OSError:
                raise self.lost("it hung up") from None

    def _wait(self, idle_until: float, event: int = select.POLLIN) -> None:
        """Return when the line is ready."""
        poll = select.poll()
        poll.register(self._socket, event)
        while True:
            if self._patience.check is not None:
                self._patience.check()
            now = time.monotonic()
            if now >= self._patience.until:
                raise self.lost("it takes too long")
            if now >= idle_until:
                raise self.lost("nothing came for too long")
            if poll.poll(min(TURN_S, idle_until - now, self._patience.until - now) * 1000):
                return

    def lost(self, why: str) -> SourceUnavailable:
        """What to raise when the server is of no use."""
        return SourceUnavailable(host=self._host, why=why)

    def close(self) -> None:
        self._socket.close()
