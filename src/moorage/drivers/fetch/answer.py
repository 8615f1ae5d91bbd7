"""
An answer as it comes in: its head within a limit, its body in pieces, complete or an error.

A body that ends before its announced end is never taken for a whole one. Where the server announces none, its hanging
up is the end, as HTTP has it.
"""

from collections import deque
from typing import Any

import httptools

from moorage.drivers.fetch.line import Line

_HEAD_STEP_BYTES = 16 << 10
_BODY_STEP_BYTES = 1 << 20
_LAST_INTERIM = 199


class Answer:
    """One answer on one line."""

    def __init__(self, line: Line, header_limit_bytes: int) -> None:
        self._line, self._limit = line, header_limit_bytes
        self._parser: Any = httptools.HttpResponseParser(self)
        self.status = 0
        self.headers: dict[str, str] = {}
        self._pieces: deque[bytes] = deque()
        self._head_bytes, self._begun, self._over = 0, False, False
        while not self._begun:
            self._take(_HEAD_STEP_BYTES)

    @property
    def length(self) -> int | None:
        """Bytes of the body, where they were announced."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isdigit() else None

    def piece(self) -> bytes:
        """The next bytes of the body; none after its end."""
        while not self._pieces and not self._over:
            self._take(_BODY_STEP_BYTES)
        return self._pieces.popleft() if self._pieces else b""

    def close(self) -> None:
        self._line.close()

    def _take(self, most: int) -> None:
        data = self._line.receive(most)
        if not data:
            self._ended()
            return
        if not self._begun:
            self._count(len(data))
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._over:  # what follows an answer is nobody's business
                raise self._line.lost("it does not speak HTTP") from None

    def _count(self, more: int) -> None:
        self._head_bytes += more
        if self._head_bytes > self._limit:
            raise self._line.lost("the head of its answer is too long")

    def _ended(self) -> None:
        announced = "content-length" in self.headers or "transfer-encoding" in self.headers
        if not self._begun or announced:
            raise self._line.lost("it hung up in the middle")
        self._over = True

    # what the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._begun:
            self._count(len(name) + len(value))  # what follows a body in chunks
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status > _LAST_INTERIM and not self._over:
            self.status, self._begun = status, True

    def on_body(self, data: bytes) -> None:
        if not self._over:
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        if self._begun:
            self._over = True
        else:
            self.headers.clear()  # of an interim answer; the real one follows
