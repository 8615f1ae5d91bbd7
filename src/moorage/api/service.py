"""A service: a prefix, its routes, and what differs between services on the wire."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

from moorage.api.request import Answer, Request
from moorage.api.routes import Route, Table
from moorage.api.versions import Version
from moorage.core.errors import Problem


class Service(ABC):
    """One API. Subclasses say how it negotiates versions, what its faults look like and which headers it adds."""

    name: str  #: "block-storage", "image", ...
    prefix: str  #: "/volume"
    body_limit: int = 1 << 20  #: bytes of a JSON body
    json_types: frozenset[str] = frozenset({"application/json"})  #: content types that are read as JSON

    def __init__(self, routes: Iterable[Route]) -> None:
        self.table = Table(routes)

    @property
    def base_path(self) -> str:
        """What the routes' paths follow, as clients write it."""
        return self.prefix

    def split(self, path: str) -> tuple[str, str | None]:
        """
        `path` (below the prefix) without its project id, and the project id, where the service puts it into paths.
        """
        return path, None

    def negotiate(self, headers: Mapping[str, str]) -> Version:
        """The version that the request asks for."""
        return (0, 0)

    def headers(self, request_id: str, version: Version) -> dict[str, str]:
        """Headers of every answer, faults included."""
        return {"x-openstack-request-id": request_id}

    @abstractmethod
    def fault(self, problem: Problem, message: str, request: Request | None, headers: Mapping[str, str]) -> Answer:
        """`problem` as this API shows it. `message` is its sentence with the blockers that the caller may see."""
