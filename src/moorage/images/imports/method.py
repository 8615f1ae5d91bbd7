"""
What an import asks of a way to get the bytes of an image from elsewhere, and what it may rely on.

One `Method` for each way to import whose bytes are not here yet, by the name that clients know it by (`web-download`,
`glance-download`). It keeps nothing; what it needs later is in what `check` returns, which is JSON, lies in the journal
and may be shown to the image's owner: no secrets in it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Problem


class FetchBroken(Problem):
    """The data that came cannot be used: {reason}"""

    status, code = 502, "image.fetch-broken"


@dataclass(frozen=True)
class Remote:
    """What is known of an image elsewhere before its bytes come. What is None or absent is not known there."""

    size: int | None = None  #: bytes
    disk_format: str | None = None
    container_format: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)  #: that come along, as far as our image has none such
    os_hash_algo: str | None = None
    os_hash_value: str | None = None  #: what came in must have this hash by `os_hash_algo`
    checksum: str | None = None  #: or, where that is not known, this MD5


@dataclass
class Source:
    """An image elsewhere, opened: iterate over `chunks` (1 MiB at most each), and call `close` in any case."""

    remote: Remote
    chunks: Iterator[bytes]
    close: Callable[[], None] = lambda: None  #: let go of it; twice is fine


class Method(ABC):
    """A way to import from elsewhere. Its verbs block; they run off the SQL threads."""

    name: str  #: as clients call it
    sets_formats: bool = False  #: the image need not have formats: they come as well

    @abstractmethod
    def check(self, caller: Caller, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """
        What `open` is to be given for the request's `method` object, or a refusal (400) that the client is to hear at
        once: a field that is missing, an address that policy does not allow. Quick: no data are asked for.
        """

    @abstractmethod
    def open(self, checked: Mapping[str, Any], size_limit: int, check: Callable[[], None]) -> Source:
        """
        Begin to fetch. A `Problem` of status 503 (here, or while reading) is tried again later, any other one ends the
        import. All that `check` refuses is refused here again, for whatever it leads to. `check` raises when nobody
        wants the data any more; it is asked about every second, silence included.
        """
