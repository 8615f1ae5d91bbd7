"""The queue for volumes that one holder at a time may have: who waits, in the order in which they get it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from moorage.api.moorage.operations import limit
from moorage.api.request import Answer, Request
from moorage.api.views import moment
from moorage.volumes.records import attachment_queue

QUERY = ("volume_id", "project_id", "limit")
MOST = 1000


def index(request: Request) -> Answer:
    """The places that the caller may see, by volume, whoever is next first."""
    c = attachment_queue.c
    asked = {"volume_id": c.volume_id, "project_id": c.project_id}
    where = [column == value for name, column in asked.items() if (value := request.asked(name)) is not None]
    if not request.caller.is_admin:
        where.append(c.project_id == request.caller.project_id)
    query = select(attachment_queue).where(*where).order_by(c.volume_id, c.turn).limit(limit(request, MOST))
    with request.read() as tx:
        return Answer(body={"queue": [shown(row) for row in tx.all(query)]})


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A place on the wire; its id is that of the attachment that it turns into."""
    plain = {name: row[name] for name in ("id", "volume_id", "project_id", "user_id", "state", "operation", "mode")}
    times = {name: moment(row[name]) for name in ("created_at", "until")}
    return {**plain, "instance": row["instance_uuid"], **times}
