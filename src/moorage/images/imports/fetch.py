"""
What images ask of the network: the bytes behind an address that a user named, and what may be relied on.

Nothing is asked of an address that the configuration does not open, and nobody's credentials go there: neither the
user's nor ours. Verbs block; they run on worker threads.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Self

from moorage.core.errors import Malformed, Unavailable


class SourceRefused(Malformed):
    """The URI does not pass filtering: {reason}"""

    code = "fetch.refused"


class SourceUnavailable(Unavailable):
    """{host} does not give the data: {why}."""

    code = "fetch.unavailable"


class SourceDenied(Malformed):
    """{host} answers with status {answer}."""

    code = "fetch.denied"


class Fetched(Iterator[bytes], ABC):
    """Bytes coming in, in pieces of at most 1 MiB; it ends only after the last one, or raises `SourceUnavailable`."""

    size: int | None  #: bytes of the whole, where the source says so
    length: int | None  #: bytes that come, where that is known beforehand
    version: str | None  #: what the source calls this state of the data; another one means other bytes

    @abstractmethod
    def close(self) -> None:
        """Hang up. Twice is fine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Fetch(ABC):
    """The way out."""

    @abstractmethod
    def check(self, url: str) -> None:
        """Raise `SourceRefused` where nothing may be fetched from `url`. Its name is resolved, nothing is sent."""

    @abstractmethod
    def open(
        self,
        url: str,
        offset: int = 0,
        length: int | None = None,
        *,
        limit: int | None = None,
        check: Callable[[], None] | None = None,
    ) -> Fetched:
        """
        The bytes at `url` from `offset`, at most `length` of them; `TooLarge` where there are more than `limit`,
        `SourceDenied` where the source answers that it has none for us. `check` raises when nobody wants them any more;
        it is asked about every second while the source is silent.
        """
