"""
HTTP as stores speak it: within bounded times, and failing in plain words.

What goes wrong is told without URLs, since those of a store may carry signatures.
"""

import errno
import io
import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    IncompleteRead,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from moorage.drivers.stores.prompt import POOLS

T = TypeVar("T")

CHUNK_BYTES = 1 << 20
SLOWEST_BYTES_PER_S = 32 << 10  #: a service that takes or gives less than this is as good as silent
_TRIES = 3  #: how often a stream that breaks off is taken up again without a byte in between
_PAUSE_S = 0.2  #: before the first of them; twice as long before each other
_LONGEST_ANSWER = 64 << 20  #: bytes of an answer that is read whole


class Unanswered(Exception):
    """Why a service gave no answer that can be used, in plain words."""


@dataclass(frozen=True)
class Answer:
    """An answer that was read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Paced(io.BytesIO):
    """Bytes to be sent, which raise `TimeoutError` once they go too slowly; reading anew begins anew."""

    def __init__(self, data: bytes, least_s: float) -> None:
        super().__init__(data)
        self._allowed_s = least_s + len(data) / SLOWEST_BYTES_PER_S
        self._end = time.monotonic() + self._allowed_s

    def read(self, size: int | None = -1, /) -> bytes:
        if time.monotonic() > self._end:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        return super().read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._end = time.monotonic() + self._allowed_s
        return super().seek(offset, whence)


class Remote:
    """One service's connections."""

    def __init__(self, connect_s: float, silence_s: float, ca_file: str = "") -> None:
        self.silence_s = silence_s
        self._pool = urllib3.PoolManager(
            maxsize=32,
            timeout=urllib3.Timeout(connect=connect_s, read=silence_s),
            retries=False,
            ca_certs=ca_file or None,
            cert_reqs="CERT_REQUIRED",
        )
        self._pool.pool_classes_by_scheme = POOLS

    def ask(self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        """The whole answer. A request whose connection breaks is repeated once: all of ours may be."""
        for again in (True, False):
            try:
                return self.ask_once(method, url, headers, body)
            except _Broken:
                if not again:
                    raise
        raise AssertionError

    def ask_once(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: "bytes | Paced" = b""
    ) -> Answer:
        """The whole answer, for those who repeat a request themselves."""
        response = self.open(method, url, headers, body)
        try:
            answer = Answer(response.status, response.headers, self._whole(response))
        except BaseException:
            response.close()  # there may be more of it on the way, which is no answer to anything else
            raise
        response.release_conn()
        return answer

    def open(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: "bytes | Paced" = b""
    ) -> urllib3.BaseHTTPResponse:
        """The answer's beginning; what follows is read by who asked."""
        sent = {"Accept-Encoding": "identity", **(headers or {})}
        paced = body if isinstance(body, Paced) else Paced(body, self.silence_s)
        if method in ("PUT", "POST"):
            sent["Content-Length"] = str(len(paced.getbuffer()))
        with plainly():
            content = paced if body else None
            return self._pool.request(
                method, url, headers=sent, body=content, preload_content=False, redirect=False, retries=False
            )

    def close(self) -> None:
        """Let go of the connections."""
        self._pool.clear()

    def _whole(self, response: urllib3.BaseHTTPResponse) -> bytes:
        body = bytearray()
        while piece := piece_of(response, self.silence_s):
            body += piece
            if len(body) > _LONGEST_ANSWER:
                raise Unanswered("its answer has no end")
        return bytes(body)


class _Broken(Unanswered):
    """A connection that broke."""


class plainly:  # a `with` block reads as a sentence
    """What goes wrong with HTTP inside is raised as `Unanswered`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, HTTPError | OSError | ValueError | LookupError):
            kind = _Broken if isinstance(error, ProtocolError | ConnectionError) else Unanswered
            raise kind(in_words(error)) from None


def in_words(error: BaseException | None) -> str:
    """What went wrong, without a URL."""
    match error:
        case NewConnectionError() | ConnectTimeoutError():
            cause = error.__cause__ or error.__context__
            return f"no connection: {in_words(cause)}" if isinstance(cause, OSError) else "no connection"
        case ReadTimeoutError() | TimeoutError():
            return "it is silent or too slow"
        case SSLError() | ssl.SSLError():
            return "its certificate or its TLS is not accepted"
        case IncompleteRead() | ProtocolError():
            return "it broke off"
        case OSError() if error.errno:
            return os.strerror(error.errno) if error.errno > 0 else "its name is not known"
        case _:
            return f"its answer makes no sense ({type(error).__name__})"


def piece_of(response: urllib3.BaseHTTPResponse, silence_s: float) -> bytes:
    """The next bytes, 1 MiB of them unless the end comes before; none at the end."""
    end = time.monotonic() + silence_s + CHUNK_BYTES / SLOWEST_BYTES_PER_S
    piece = bytearray()
    with plainly():
        while len(piece) < CHUNK_BYTES:
            if time.monotonic() > end:
                raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            more = response.read1(CHUNK_BYTES - len(piece), decode_content=False)
            if not more:
                break
            piece += more
    return bytes(piece)


class Stream(Iterator[bytes]):
    """
    What a service answers from `offset` on, taken up again where it breaks off. `begin` asks for the bytes from an
    offset on, `length` of them or all; it returns None where there are none, and raises a problem of its own where
    asking again is of no use.
    """

    def __init__(
        self,
        begin: Callable[[int, int | None], urllib3.BaseHTTPResponse | None],
        offset: int,
        length: int | None,
        silence_s: float,
        failure: Callable[[str], Exception],
    ) -> None:
        self._begin, self._at, self._left = begin, offset, length
        self._silence_s, self._failure = silence_s, failure
        self._response: urllib3.BaseHTTPResponse | None = None
        self._ended = self._told = False
        self._persist(self._begun)

    def __next__(self) -> bytes:
        chunk = b"" if self._ended or self._left == 0 else self._persist(self._next)
        if not chunk:
            self._ended = True
            self.close()
            raise StopIteration
        self._at += len(chunk)
        if self._left is not None:
            self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        """Let go of the connection."""
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def __del__(self) -> None:
        self.close()

    def _begun(self) -> bytes:
        if self._response is None and not self._ended:
            self._response = self._begin(self._at, self._left)
            self._ended = self._response is None
            self._limit()
        return b""

    def _limit(self) -> None:
        """Know where the end is, as the first answer says; a later one that says otherwise is of something else."""
        told = self._response.headers.get("Content-Length", "") if self._response is not None else ""
        if not (told.isascii() and told.isdigit()):
            return
        if self._told and self._left is not None and int(told) < self._left:
            raise Unanswered("it has become shorter")
        self._left = int(told) if self._left is None else min(self._left, int(told))
        self._told = True

    def _next(self) -> bytes:
        self._begun()
        chunk = piece_of(self._response, self._silence_s) if self._response is not None else b""
        if not chunk and self._left:
            raise Unanswered("it broke off")
        return chunk if self._left is None else chunk[: self._left]

    def _persist(self, work: Callable[[], bytes]) -> bytes:
        """What `work` returns; after a break it begins anew where it broke."""
        return persistently(work, self._failure, self.close)


def persistently(
    work: Callable[[], T], failure: Callable[[str], Exception], after: Callable[[], object] = lambda: None
) -> T:
    """What `work` returns, which is tried again after a break, some times; `after` is done after each."""
    pause_s = _PAUSE_S
    for _ in range(_TRIES):
        try:
            return work()
        except Unanswered:
            after()
            time.sleep(pause_s)
            pause_s *= 2
    try:
        return work()
    except Unanswered as why:
        after()
        raise failure(str(why)) from None
