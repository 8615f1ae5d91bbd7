"""Image v2: paths that also name old versions, and faults in the form that the client's `Accept` asks for."""

import re
from collections.abc import Mapping
from html import escape
from http import HTTPStatus

from moorage.api.image.media import JSON, PATCHES
from moorage.api.image.routes import ROUTES
from moorage.api.image.versions import IDS
from moorage.api.request import Answer, Request
from moorage.api.service import Service
from moorage.core.errors import Problem

_VERSIONED = re.compile(r"/(v2(?:\.\d+)?)(/.*)?", re.DOTALL)
_NOWHERE = "/v2"


class ImageService(Service):
    """The service `image`."""

    name, prefix = "image", "/image"
    json_types = frozenset({JSON, *PATCHES})

    def __init__(self) -> None:
        super().__init__(ROUTES)

    def split(self, path: str) -> tuple[str, str | None]:
        """Any version that we list is v2; whatever else a path begins with gets the versions document."""
        match = _VERSIONED.fullmatch(path)
        if match and (match[1] == "v2" or match[1] in IDS):
            below = match[2] or ""
            empty = below.endswith("/") or "//" in below  # an id was left out: that is no list
            return (_NOWHERE if empty else "/v2" + below), None
        return (path if path in ("/versions", "/healthcheck") else "/"), None

    def fault(self, problem: Problem, message: str, request: Request | None, headers: Mapping[str, str]) -> Answer:
        """`problem` as HTML, JSON or plain text; see Image's reference: clients find the message in each of them."""
        title = _phrase(problem.status)
        line = f"{problem.status} {title}"
        more = _headers(problem, headers)
        accept = headers.get("accept", "").lower() or "*/*"  # the SDK asks for nothing, and shows nothing of plain text
        if "application/json" in accept:
            return Answer(problem.status, {"message": message, "code": line, "title": title}, more)
        if "*/*" in accept or "text/html" in accept:
            page = (
                f"<html>\n <head>\n  <title>{line}</title>\n </head>\n"
                f" <body>\n  <h1>{line}</h1>\n  {escape(message, quote=False)}<br /><br />\n\n\n\n </body>\n</html>"
            )
            return Answer(problem.status, headers=more, content=page.encode(), content_type="text/html; charset=UTF-8")
        text = f"{line}\n\n{message}\n\n   "
        return Answer(problem.status, headers=more, content=text.encode(), content_type="text/plain; charset=UTF-8")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _headers(problem: Problem, headers: Mapping[str, str]) -> dict[str, str]:
    """What the status asks for beside the body."""
    if problem.status == 401:
        scheme, host = headers.get("x-forwarded-proto", "http"), headers.get("host", "")
        return {"WWW-Authenticate": f'Keystone uri="{scheme}://{host}/identity/v3"'}
    if problem.status == 405 and "allowed" in problem.facts:
        return {"Allow": problem.facts["allowed"]}
    if problem.status == 415 and "accepted" in problem.facts:
        return {"Accept-Patch": problem.facts["accepted"]}
    return {}
