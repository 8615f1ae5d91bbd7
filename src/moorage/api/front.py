"""What lies outside the services: the root page and the health check."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from moorage import __version__
from moorage.api.openapi import describe
from moorage.api.request import Answer, Request
from moorage.api.routes import Route
from moorage.api.service import Service
from moorage.core.errors import Problem


def root(ask: Request) -> Answer:
    """Say what this is and where its services are."""
    base = ask.url
    services = {
        name: base + path
        for name, path in (("identity", "/identity/v3"), ("volume", "/volume/v3"), ("image", "/image/v2"))
    }
    return Answer(body={"moorage": __version__, "services": services})


def health(ask: Request) -> Answer:
    """Answer 200 while the database answers."""
    with ask.read() as tx:
        tx.now  # noqa: B018  # on PostgreSQL a round trip
    return Answer(content=b"OK", content_type="text/plain")


ROUTES = (
    Route("GET", "/", root, open=True),
    Route("GET", "/healthz", health, open=True),
    Route("GET", "/healthcheck", health, open=True),
)


class Front(Service):
    """Everything that no service's prefix claims."""

    name, prefix = "front", ""

    def __init__(self, others: Iterable[Service] = ()) -> None:
        super().__init__((*ROUTES, Route("GET", "/openapi.json", self.description, open=True)))
        self._others = tuple(others)

    def description(self, ask: Request) -> Answer:
        """Describe everything that is served, by OpenAPI."""
        return Answer(body=self._described)

    @cached_property
    def _described(self) -> dict[str, Any]:
        return describe((*self._others, self))

    def fault(self, problem: Problem, message: str, request: Request | None, headers: Mapping[str, str]) -> Answer:
        return Answer(problem.status, {"error": {"code": problem.code, "message": message, "status": problem.status}})
