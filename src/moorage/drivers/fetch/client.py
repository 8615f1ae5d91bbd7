"""The guarded client: GET, whole or in part, through the guard at every hop, with no credentials of anybody."""

import re
import time
from collections.abc import Callable, Mapping
from urllib.parse import urljoin

from moorage.core.errors import TooLarge
from moorage.drivers.fetch.answer import Answer
from moorage.drivers.fetch.guard import Admitted, Guard, Resolve
from moorage.drivers.fetch.line import Authorities, Line, Patience
from moorage.drivers.fetch.settings import FetchSettings
from moorage.images.imports.fetch import Fetch, Fetched, SourceDenied, SourceRefused, SourceUnavailable

_MOVED = frozenset({301, 302, 303, 307, 308})
_WHOLE, _PART, _BEYOND = 200, 206, 416
_OUR_FAULT = frozenset(range(400, 500)) - {408, 425, 429}  #: asking again would not help
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")


class GuardedFetch(Fetch):
    """
    Fetches over HTTP what `settings` open. `headers` go along with every request: only for sources that the
    configuration names, and with `redirects` 0.
    """

    def __init__(
        self, settings: FetchSettings, resolve: Resolve | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self._settings, self._guard, self._headers = settings, Guard(settings, resolve), dict(headers or {})
        self._authorities = Authorities(settings.ca_file)

    def check(self, url: str) -> None:
        self._guard.admit(url)

    def open(
        self,
        url: str,
        offset: int = 0,
        length: int | None = None,
        *,
        limit: int | None = None,
        check: Callable[[], None] | None = None,
    ) -> "Stream":
        s = self._settings
        until = time.monotonic() + s.time_limit_s
        patience = Patience(s.connect_timeout_s, s.idle_timeout_s, until, check)
        for _ in range(s.redirects + 1):
            admitted = self._guard.admit(url)
            answer = self._ask(admitted, patience, offset, length)
            try:
                if answer.status not in _MOVED:
                    return Stream(answer, admitted.target.host, offset, length, limit)
                url = _next(admitted, answer)
            except BaseException:
                answer.close()
                raise
            answer.close()
        raise SourceRefused(reason=f"it leads to more than {s.redirects} other addresses, one after the other.")

    def _ask(self, to: Admitted, patience: Patience, offset: int, length: int | None) -> Answer:
        line = Line(to, patience, self._authorities)
        try:
            line.send(_question(to, self._headers, offset, length))
            return Answer(line, self._settings.header_limit_bytes)
        except BaseException:
            line.close()
            raise


def _question(to: Admitted, headers: Mapping[str, str], offset: int, length: int | None) -> bytes:
    """The request; its parts hold no spaces and no line ends (`target`), and headers are ours."""
    lines = [
        f"GET {to.target.path} HTTP/1.1",
        f"Host: {to.target.authority}",
        "User-Agent: moorage",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    if offset or length is not None:
        lines.append(f"Range: bytes={offset}-{'' if length is None else offset + length - 1}")
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise SourceRefused(reason="it cannot be asked for in plain text.")
    return "\r\n".join((*lines, "", "")).encode()


def _next(here: Admitted, answer: Answer) -> str:
    """Where a redirect leads; checked like any other address by whoever follows it."""
    target, said = here.target, answer.headers.get("location", "")
    if "://" in said.partition("?")[0]:
        url = said
    elif said.startswith("//"):
        url = f"{target.scheme}:{said}"
    elif said.startswith("/"):
        url = f"{target.scheme}://{target.authority}{said}"
    elif said and ":" not in said.partition("/")[0]:
        url = f"{target.scheme}://{target.authority}{urljoin(target.path, said)}"
    else:
        raise SourceRefused(reason="it leads to nowhere.")
    if target.scheme == "https" and not url.lower().startswith("https:"):
        raise SourceRefused(reason="it leads from an encrypted address to one that is not.")
    return url


class Stream(Fetched):
    """The body of a good answer."""

    def __init__(self, answer: Answer, host: str, offset: int, length: int | None, limit: int | None) -> None:
        self._answer, self._host, self._limit = answer, host, limit
        self._seen, self._most = 0, length
        asked_for_part = bool(offset) or length is not None
        self._check(answer, asked_for_part)
        if answer.status == _WHOLE and offset:
            raise self._useless("it does not send parts")
        self.size = self.length = answer.length
        if answer.status == _PART:
            self._part(answer.headers.get("content-range", ""), offset, length)
        elif length is not None:
            self.length = None if self.size is None else min(length, self.size)
        self.version = _version(answer.headers)
        self._allow(self.length or 0)

    def _check(self, answer: Answer, asked_for_part: bool) -> None:
        if answer.status == _BEYOND and asked_for_part:
            raise self._useless("it has no bytes there")
        if answer.status in _OUR_FAULT:
            raise SourceDenied(host=self._host, answer=answer.status)
        if answer.status not in (_WHOLE, _PART) or (answer.status == _PART and not asked_for_part):
            raise self._useless(f"it answers with status {answer.status}")
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise self._useless("it sends the data in an encoding that was not asked for")
        if answer.headers.get("transfer-encoding", "chunked").lower() != "chunked":
            raise self._useless("it sends the data in an encoding that was not asked for")

    def _part(self, text: str, offset: int, length: int | None) -> None:
        found = _CONTENT_RANGE.fullmatch(text)
        if not found or int(found[1]) != offset or int(found[2]) < offset:
            raise self._useless("it sends another part than the one that was asked for")
        self.size = None if found[3] == "*" else int(found[3])
        sent = int(found[2]) - offset + 1
        there = sent if self.size is None else self.size - offset
        if sent != (there if length is None else min(there, length)) or self._answer.length not in (None, sent):
            raise self._useless("it sends another part than the one that was asked for")
        self.length = sent

    def __next__(self) -> bytes:
        piece = self._answer.piece()
        if self._most is not None:
            piece = piece[: self._most - self._seen]
        self._seen += len(piece)
        self._allow(self._seen)
        if not piece:
            self.close()
            if self.length is not None and self._seen != self.length:
                raise self._useless("it hung up in the middle")
            raise StopIteration
        return piece

    def close(self) -> None:
        self._answer.close()

    def _allow(self, size: int) -> None:
        if self._limit is not None and size > self._limit:
            self.close()
            raise TooLarge(reason=f"There are more than {self._limit} bytes at {self._host}.")

    def _useless(self, why: str) -> SourceUnavailable:
        return SourceUnavailable(host=self._host, why=why)


def _version(headers: Mapping[str, str]) -> str | None:
    """What changes when the data do: a strong tag, else the time of the last change."""
    tag = headers.get("etag", "")
    if tag and not tag.startswith("W/"):
        return tag
    return headers.get("last-modified")
