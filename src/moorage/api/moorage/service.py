"""`/moorage/v1` as a service of the shell."""

from collections.abc import Mapping
from typing import Any

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
        error: dict[str, Any] = {"code": problem.code, "message": message, "status": problem.status}
        if request is not None and problem.blockers:
            seen = [b for b in problem.blockers if request.caller.sees(b.project_id)]
            error["blockers"] = [{"kind": b.kind, "id": b.id} for b in seen]
        return Answer(problem.status, {"error": error})
