"""
Connections on which the head of an answer has to come within a time, however steadily its bytes may drip, and is
acknowledged at once: services that send a short body by itself (Ceph's radosgw, unless it is told `tcp_nodelay`) hold
it back until then, which a receiver that waits for company makes 40 ms.
"""

import http.client
import io
import socket
import time
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

SILENCES = 2  #: one before the head begins, one until it is over


class _Timed(io.RawIOBase):
    """What comes through `connection`, by `until` as long as that is set."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket) -> None:
        self._raw, self._connection = raw, connection
        self._silence_s = connection.gettimeout()
        self.until = None if self._silence_s is None else time.monotonic() + SILENCES * self._silence_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.until is not None and self._silence_s is not None:
            left_s = self.until - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("the head of the answer does not end")
            self._connection.settimeout(min(left_s, self._silence_s))
        return self._raw.readinto(buffer)

    def at_leisure(self) -> None:
        """What follows is for others to time."""
        if self.until is not None:
            self.until = None
            self._connection.settimeout(self._silence_s)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, connection: socket.socket, *arguments: Any, **named: Any) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        super().__init__(connection, *arguments, **named)
        self._timed = _Timed(self.fp.detach(), connection)
        self.fp = io.BufferedReader(self._timed)

    def begin(self) -> None:
        super().begin()
        if not self._timed.closed:
            self._timed.at_leisure()


class _Plain(HTTPConnection):
    response_class = _Answer


class _Secured(HTTPSConnection):
    response_class = _Answer


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecuredPool(HTTPSConnectionPool):
    ConnectionCls = _Secured


POOLS = {"http": _PlainPool, "https": _SecuredPool}
