"""Why something is as it is."""

from moorage.api.request import Answer, Request
from moorage.api.views import moment
from moorage.core.errors import NotFound
from moorage.flows.why import KINDS, why


def show(request: Request) -> Answer:
    """Say what the resource is, since when, who has it, who is in the way and what happens next."""
    kind = request.params["kind"]
    if kind not in KINDS:
        raise NotFound()
    with request.read() as tx:
        answer = why(tx, request.caller, kind, request.params["id"])
    return Answer(body={"why": {**answer.shown(), "since": moment(answer.since)}})
