"""Why something is as it is, and what may be done about it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table

from moorage.api.moorage import trial
from moorage.api.request import Answer, Request
from moorage.api.views import moment
from moorage.core.errors import Malformed, NotFound
from moorage.flows.why import KINDS, Owner, Why, why
from moorage.images.records import images
from moorage.volumes.records import attachments, volume_types, volumes

QUERY = ("action",)
TABLES: Mapping[str, Table] = {
    "volume": volumes,
    "attachment": attachments,
    "image": images,
    "volume-type": volume_types,
}


def show(request: Request) -> Answer:
    """Say what the resource is, since when, who has it, who is in the way, what happens next and what you may do."""
    kind, id, action = request.params["kind"], request.params["id"], request.asked("action")
    if kind not in KINDS:
        raise NotFound()
    known = [known.name for known in trial.ACTIONS.get(kind, ())]
    if action is not None and action not in known:
        raise Malformed(reason=f"action is one of {', '.join(known) or 'none'} for a {kind}.")
    with request.read() as tx:
        answer = why(tx, request.caller, kind, id, request.rooms)
        row = tx.get(TABLES[kind], id) if kind in TABLES else None
    found = trial.verdicts(request, kind, id, row, action) if row is not None else []
    phrases = [verdict.action.phrase for verdict in found if verdict.refusal is None]
    body = shown(answer)
    body["you_may"] = [*phrases, *body["you_may"]]
    return Answer(body={"why": {**body, "actions": [verdict.shown(request) for verdict in found]}})


def shown(answer: Why) -> dict[str, Any]:
    """The answer on the wire."""
    body = {**answer.shown(), "since": moment(answer.since)}
    if answer.operation is not None:
        body["operation"] |= {name: moment(getattr(answer.operation, name)) for name in TIMES}
    return body


TIMES = tuple(name for name, kind in Owner.__annotations__.items() if name.endswith(("_at", "_until", "deadline")))
