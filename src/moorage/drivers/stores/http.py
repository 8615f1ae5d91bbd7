"""
A store of what web servers serve, by its URL: nothing is written there, and nothing deleted.

Whatever is asked of a server goes through the guarded way out, whose rules (`[fetch]`) say which servers may be asked.
A server that fails is its own images' trouble, not the store's.
"""

import time
from collections.abc import Iterator

from moorage.drivers.stores.naming import NameRefused
from moorage.images.imports.fetch import Fetch, Fetched, SourceDenied, SourceRefused, SourceUnavailable
from moorage.images.store import (
    LONGEST_NAME,
    LocationRefused,
    ObjectMissing,
    ObjectUnavailable,
    Store,
    StoreReadOnly,
    Traits,
    Writer,
)

_SCHEMES = ("http://", "https://")
_LONGEST_SKIP = 4 << 30  #: bytes that are read in vain at most, where a server does not send parts
_TRIES, _PAUSE_S = 3, 0.3
_SOMEWHERE = "at another server"  #: who reads the image need not know where it is


class HttpStore(Store):
    """What is at http and https URLs; a name is a URL."""

    kind = "http"
    traits = Traits(read_only=True, adopts=True, remote=True)

    def __init__(self, id: str, fetch: Fetch) -> None:
        super().__init__(id)
        self._fetch = fetch

    def create(self, name: str, size: int | None) -> Writer:
        raise StoreReadOnly(store=self.id)

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        return _Chunks(self, _checked(name), offset, length)

    def delete(self, name: str) -> None:
        _checked(name)

    def size(self, name: str) -> int:
        with self.begin(_checked(name), 0) as found:
            if found.size is None:
                raise self.unavailable("the server does not say how large they are")
            return found.size

    def names(self) -> frozenset[str]:
        return frozenset()

    def free(self) -> int | None:
        return None

    def url(self, name: str) -> str:
        return name

    def adopt(self, url: str) -> str:
        name = url if url.startswith(_SCHEMES) else url.partition(":")[0].lower() + ":" + url.partition(":")[2]
        try:
            _checked(name)
            self._fetch.check(_sent(name))
        except NameRefused:
            raise LocationRefused(reason="it is no plain URL of http or https.") from None
        except SourceRefused as refused:
            raise LocationRefused(reason=str(refused.facts["reason"])) from None
        return name

    def begin(self, name: str, offset: int, length: int | None = None) -> Fetched:
        """The server's answer."""
        try:
            return self._fetch.open(_sent(name), offset, length)
        except SourceDenied:
            raise ObjectMissing(image=_SOMEWHERE, store=self.id) from None
        except SourceRefused as refused:
            raise self.unavailable(f"the URI does not pass filtering: {refused.facts['reason']}") from None
        except SourceUnavailable as problem:
            raise self.unavailable(str(problem.facts["why"])) from None

    def unavailable(self, why: str) -> ObjectUnavailable:
        """What is said of a server that does not do what it has to."""
        return ObjectUnavailable(image=_SOMEWHERE, store=self.id, why=why)


class _Chunks(Iterator[bytes]):
    """
    The bytes from an offset on. Where a server breaks off they are asked for again from there, as long as it says that
    they are the same.
    """

    def __init__(self, store: HttpStore, name: str, offset: int, length: int | None) -> None:
        self._store, self._name, self._at = store, name, offset
        self._fetched: Fetched | None = None
        self._version: str | None = None
        self._rest = b""  #: of a piece of which we have skipped the beginning
        size = store.size(name) if offset or length is not None else None
        self._end = size if length is None or size is None else min(size, offset + length)
        if self._end is None or self._at < self._end:
            self._fetched = self._begun()

    def __next__(self) -> bytes:
        for left in range(_TRIES, -1, -1):
            try:
                return self._next()
            except ObjectUnavailable:
                self.close()
                if not left or self._version is None:
                    raise
                time.sleep(_PAUSE_S)
        raise AssertionError

    def close(self) -> None:
        """Hang up."""
        fetched, self._fetched = self._fetched, None
        if fetched is not None:
            fetched.close()

    def __del__(self) -> None:
        self.close()

    def _next(self) -> bytes:
        if self._end is not None and self._at >= self._end:
            self.close()
            raise StopIteration
        if self._fetched is None:
            self._fetched = self._begun()
        chunk = self._rest or self._piece(self._fetched)
        self._rest = b""
        if not chunk:
            self._end = self._at
            return self._next()
        if self._end is not None:
            chunk = chunk[: self._end - self._at]
        self._at += len(chunk)
        return chunk

    def _piece(self, fetched: Fetched) -> bytes:
        try:
            return next(fetched, b"")
        except SourceUnavailable as problem:
            raise self._store.unavailable(str(problem.facts["why"])) from None

    def _begun(self) -> Fetched:
        """An answer of which the next byte is the one at our offset; of the same bytes as the first answer."""
        length = None if self._end is None else self._end - self._at
        try:
            fetched = self._store.begin(self._name, self._at, length if self._at else None)
        except ObjectUnavailable:
            if not 0 < self._at <= _LONGEST_SKIP:
                raise
            fetched = self._skipped(self._store.begin(self._name, 0))  # servers may answer everything, or nothing else
        if self._version not in (None, fetched.version):
            fetched.close()
            raise self._store.unavailable("they have changed meanwhile")
        self._version = fetched.version
        return fetched

    def _skipped(self, fetched: Fetched) -> Fetched:
        left, self._rest = self._at, b""
        while left:
            piece = self._piece(fetched)
            if not piece:
                raise self._store.unavailable("it sends fewer bytes than it said")
            self._rest = piece[left:]
            left -= len(piece) - len(self._rest)
        return fetched


def _sent(name: str) -> str:
    """What a server is asked for: a fragment tells names apart, and is for clients alone."""
    return name.partition("#")[0]


def _checked(name: str) -> str:
    plain = name.startswith(_SCHEMES) and name.isascii() and name.isprintable() and not set(' "<>\\^`{|}') & set(name)
    authority = name.partition("://")[2].partition("/")[0]
    if not plain or len(name) > LONGEST_NAME or set("@#") & set(authority) or not authority:
        raise NameRefused(name=name[:LONGEST_NAME])
    return name
