"""Identity as a service: its prefix, its faults, its headers."""

import re
from collections.abc import Mapping
from http import HTTPStatus

from moorage.api.identity.routes import ROUTES
from moorage.api.request import Answer, Request
from moorage.api.service import Service
from moorage.api.versions import Version
from moorage.core.errors import Forbidden, Problem

_HOST = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")


class IdentityService(Service):
    """Identity v3."""

    name = "identity"
    prefix = "/identity"
    body_limit = 114688

    def __init__(self) -> None:
        super().__init__(ROUTES)

    def headers(self, request_id: str, version: Version) -> dict[str, str]:
        """What every answer says."""
        return {"x-openstack-request-id": request_id, "vary": "X-Auth-Token"}

    def fault(self, problem: Problem, message: str, request: Request | None, headers: Mapping[str, str]) -> Answer:
        """The one shape of all faults here; 401 says where to log in."""
        if type(problem) is Forbidden:
            message = f"You are not authorized to perform the requested action: {problem.facts['action']}."
        title = "Request Entity Too Large" if problem.status == 413 else HTTPStatus(problem.status).phrase
        more = {}
        if problem.status == 401:
            host = headers.get("host", "")
            url = request.url if request else f"http://{host if _HOST.fullmatch(host) else 'localhost'}{self.prefix}"
            more["www-authenticate"] = f'Keystone uri="{url}/v3"'
        return Answer(problem.status, {"error": {"code": problem.status, "message": message, "title": title}}, more)
