"""Routes: each service's whole surface as rows, and the table that finds the row for a request."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from moorage.api.bodies import Body
from moorage.api.versions import Version
from moorage.core.errors import MethodNotAllowed, NotFound


@dataclass(frozen=True)
class Route:
    """
    One call. `path` is below the service's prefix, with parameters in braces.

    A handler takes a `Request` and returns an `Answer`, a `Later`, an `Elsewhere` or an `AtStore`; it is a plain
    function, run on the SQL executor.
    With `stream`, it is a coroutine function that also takes the body as an iterator of chunks.
    """

    method: str
    path: str
    handler: Callable[..., Any]
    since: Version = (0, 0)
    until: Version = (9999, 9999)
    body: Body | None = None  #: None: the body is not looked at
    body_type: str | None = None  #: the one content type that it takes; None: what the service reads as JSON
    action: str | None = None  #: the one key of the body, for `POST .../action`
    open: bool = False  #: no token is needed
    stream: bool = False
    success: int = 200  #: the status of success, for the description
    query: tuple[str, ...] = ()  #: query parameters that it understands, for the description


@dataclass
class _Node:
    literal: dict[str, "_Node"] = field(default_factory=dict)
    parameter: "_Node | None" = None
    methods: dict[str, list[tuple[Route, tuple[str, ...]]]] = field(default_factory=dict)


class Table:
    """The rows of one service, ready to be searched. A literal segment wins over a parameter."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._rows = tuple(routes)
        self._root = _Node()
        for route in self._rows:
            node, names = self._root, []
            for part in _parts(route.path):
                if part.startswith("{"):
                    names.append(part[1:-1])
                    node.parameter = node.parameter or _Node()
                    node = node.parameter
                else:
                    node = node.literal.setdefault(part, _Node())
            node.methods.setdefault(route.method, []).append((route, tuple(names)))

    def __iter__(self) -> Iterator[Route]:
        return iter(self._rows)

    def find(self, method: str, path: str) -> tuple[list[Route], Mapping[str, str]]:
        """The rows for `method` and `path` (several: by version or action), and the path's parameters."""
        found = _find(self._root, _parts(path), 0, ())
        if found is None:
            raise NotFound()
        node, values = found
        rows = node.methods.get(method) or (node.methods.get("GET") if method == "HEAD" else None)
        if not rows:
            raise NotAllowed(allowed=", ".join(sorted(node.methods)))
        return [route for route, _ in rows], dict(zip(rows[0][1], values, strict=True))

    def knows(self, path: str) -> bool:
        """Whether any method is defined for `path`."""
        return _find(self._root, _parts(path), 0, ()) is not None


class NotAllowed(MethodNotAllowed):
    """The method is not allowed for this resource; allowed: {allowed}."""


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _find(node: _Node, parts: list[str], at: int, values: tuple[str, ...]) -> tuple[_Node, tuple[str, ...]] | None:
    if at == len(parts):
        return (node, values) if node.methods else None
    below = node.literal.get(parts[at])
    found = _find(below, parts, at + 1, values) if below is not None else None
    if found is None and node.parameter is not None:
        found = _find(node.parameter, parts, at + 1, (*values, parts[at]))
    return found
