"""What a handler is given, and what it gives back."""

import io
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from moorage.api.routes import Route
from moorage.api.versions import Version
from moorage.core.caller import Caller
from moorage.core.errors import Malformed
from moorage.database import Transaction
from moorage.flows.rooms import Rooms

T = TypeVar("T")

_YES, _NO = frozenset({"1", "t", "true", "on", "y", "yes"}), frozenset({"0", "f", "false", "off", "n", "no"})


@dataclass
class Request:
    """One request, its token validated, its version negotiated and its body checked against the route's schema."""

    rooms: Rooms
    route: Route
    method: str
    url: str  #: scheme, host and the service's prefix: "http://127.0.0.1:8790/volume"
    path: str  #: below the prefix, as it was asked
    params: Mapping[str, str]
    query: list[tuple[str, str]]
    headers: Mapping[str, str]  #: names in lower case
    caller: Caller
    version: Version
    request_id: str
    body: Any = None
    local: bool = False  #: came over the agent's unix socket from root or from Moorage's own uid
    project_in_url: str | None = None
    sql: Callable[[Callable[[], T]], Awaitable[T]] = field(default=None, repr=False)  # type: ignore[assignment]  #: for streams: run on the SQL executor
    files: Callable[[Callable[[], T]], Awaitable[T]] = field(default=None, repr=False)  # type: ignore[assignment]  #: for streams: run on the file executor

    on_store: Callable[[str], Callable[[Callable[[], T]], Awaitable[T]]] = field(default=None, repr=False)  # type: ignore[assignment]  #: the same for work of one store

    def read(self) -> AbstractContextManager[Transaction]:
        """A read transaction."""
        return self.rooms.database.read()

    def write(self) -> AbstractContextManager[Transaction]:
        """A write transaction."""
        return self.rooms.database.write()

    def asked(self, name: str, default: str | None = None) -> str | None:
        """The last value of query parameter `name`."""
        return next((value for key, value in reversed(self.query) if key == name), default)

    def asked_all(self, name: str) -> list[str]:
        """All values of query parameter `name`, in order."""
        return [value for key, value in self.query if key == name]

    def asked_flag(self, name: str, default: bool = False) -> bool:
        """Query parameter `name` as a boolean; the spellings that OpenStack takes."""
        value = self.asked(name)
        return default if value is None else boolean(value, name)


def boolean(value: Any, name: str) -> bool:
    """`value` as a boolean, or `Malformed`."""
    text = str(value).strip().lower()
    if text in _YES:
        return True
    if text in _NO:
        return False
    raise Malformed(reason=f"Invalid value {str(value)[:64]!r} for {name}: a boolean is needed.")


@dataclass(frozen=True)
class Answer:
    """
    What goes back: a JSON body, bytes, a file, an iterator of chunks (`length` bytes in all), or what is still to come.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    content_type: str = "application/json"
    file: io.FileIO | None = None  #: open, and closed when it was sent
    first: bytes = b""  #: what the file's part begins with, read already
    offset: int = 0
    length: int | None = None
    chunks: Iterator[bytes] | None = None
    store: str = ""  #: whose chunks they are
    live: Callable[[], AsyncGenerator[bytes]] | None = None  #: chunks as they come about; waits without a thread

    @property
    def at_once(self) -> bool:
        """Whether all of it is in memory."""
        return self.file is None and self.chunks is None and self.live is None


@dataclass(frozen=True)
class Later:
    """
    The answer is known when `operation` is over: then `answer` is asked, on the SQL executor, if it was done, and the
    operation's failure is raised if it was undone. A call that makes something (`making`) and whose client has gone, or
    whose time is over, is cancelled; any other goes on.
    """

    operation: str
    answer: Callable[[Request], Answer]
    making: bool = False


@dataclass(frozen=True)
class Elsewhere:
    """
    Another service has to be asked first: `ask` is called outside any transaction and off the SQL executor, and with
    what it returns `go_on`, on the SQL executor.
    """

    ask: Callable[[], Any]
    go_on: Callable[[Any], "Outcome"]


@dataclass(frozen=True)
class AtStore:
    """A store has to be looked into first: `look`, outside any transaction and on the threads of that store."""

    store: str
    look: Callable[[], "Outcome"]


Outcome = Answer | Later | Elsewhere | AtStore
