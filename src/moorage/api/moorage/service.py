"""`/moorage/v1` as a service of the shell."""

from collections.abc import Mapping

from moorage.api.moorage.routes import ROUTES
from moorage.api.request import Answer, Request
from moorage.api.service import Service
from moorage.core.errors import Problem


class MoorageService(Service):
    """What the standard APIs do not say: why, operations, hosts, what happened to attachments, the doctor."""

    name = "moorage"
    prefix = "/moorage"

    def __init__(self) -> None:
        super().__init__(ROUTES)

    def fault(self, problem: Problem, message: str, request: Request | None, headers: Mapping[str, str]) -> Answer:
        return Answer(problem.status, {"error": {"code": problem.code, "message": message, "status": problem.status}})
