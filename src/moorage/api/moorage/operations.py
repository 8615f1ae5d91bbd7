"""Operations: what is being done, by whom, how far it got, and how it ended."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from moorage.api.request import Answer, Request
from moorage.api.views import moment
from moorage.core.caller import Needs, Rule
from moorage.core.errors import Conflict, Malformed, NotFound
from moorage.core.paging import Page
from moorage.database import Transaction
from moorage.database.paging import paged
from moorage.flows.images.incoming import progress
from moorage.flows.why.doing import sentence_of, step_of
from moorage.operations import journal
from moorage.operations.flow import Flows
from moorage.operations.records import OPEN, OVER, State, operations

MOST = 1000
CANCEL = Rule("operation:cancel", Needs.MEMBER)


class NotCancellable(Conflict):
    """Operation {operation} ({kind}) cannot be cancelled: {reason}"""

    code = "operation.not-cancellable"


def index(request: Request) -> Answer:
    """The operations that the caller may see, newest first; those that are not over with `state=open`."""
    c = operations.c
    query = select(operations)
    if not request.caller.is_admin:
        query = query.where(c.project_id == request.caller.project_id)
    state, resource = request.asked("state"), request.asked("resource_id")
    if state == "open":
        query = query.where(c.state.in_(sorted(OPEN)))
    elif state is not None:
        if state not in list(State):
            raise Malformed(reason="state is one of open, " + ", ".join(State) + ".")
        query = query.where(c.state == state)
    if resource is not None:
        query = query.where(c.resource_id == resource)
    with request.read() as tx:
        page = Page(limit=limit(request, MOST), marker=request.asked("marker"))
        marker = _found(tx, request, page.marker) if page.marker else None
        rows = tx.all(paged(query, operations, page, marker))
        return Answer(body={"operations": [shown(tx, row, request) for row in rows]})


def show(request: Request) -> Answer:
    """One operation."""
    with request.read() as tx:
        row = _found(tx, request, request.params["id"])
        far = progress.told(tx, row["id"])
        more = {"progress": far} if far is not None else {}
        return Answer(body={"operation": {**shown(tx, row, request), **more}})


def cancel(request: Request) -> Answer:
    """Turn back what brings data into an image (an import, a copy, an upload); the image is as before."""
    id = request.params["id"]
    with request.write() as tx:
        row = _found(tx, request, id)
        request.caller.must(CANCEL, row["project_id"] or "")
        (row,) = tx.lock(operations, [id])
        _permit(request.rooms.flows, row)
        journal.cancel(tx, id)
        return Answer(202, {"operation": shown(tx, journal.get(tx, id) or row, request)})


def _permit(flows: Flows, row: Mapping[str, Any]) -> None:
    """Refuse to cancel what cannot be, or is over; what is turned back already may be cancelled once more."""
    flow = flows.kinds.get(row["kind"])
    reason = ""
    if row["state"] in OVER:
        reason = "it is over."
    elif flow is None or not flow.cancellable:
        instead = flow.instead.format_map({**row["input"], "id": row["resource_id"]}) if flow is not None else ""
        reason = " ".join(filter(None, ["nothing of its kind can be.", instead]))
    elif not row["back"] and not flow.turning_back_allowed(row["step"]):
        reason = "it has come too far."
    if reason:
        raise NotCancellable(operation=row["id"], kind=row["kind"], reason=reason)


def limit(request: Request, most: int) -> int:
    """How many are asked for; `most` at most."""
    text = request.asked("limit") or str(most)
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Malformed(reason="limit is a number.")
    return min(int(text), most)


def _found(tx: Transaction, request: Request, id: str) -> Mapping[str, Any]:
    row = journal.get(tx, id)
    if row is None or not request.caller.sees(row["project_id"]):
        raise NotFound()
    return row


def shown(tx: Transaction, row: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """An operation on the wire. What steps were given and what they returned is for administrators."""
    times = {name: moment(row[name]) for name in ("created_at", "updated_at", "ended_at", "deadline")}
    plain = {
        name: row[name] for name in ("id", "kind", "state", "resource_kind", "resource_id", "project_id", "request_id")
    }
    told = {**plain, **times, "step": step_of(row), "going_back": row["back"], "sentence": sentence_of(tx, row)}
    if row["error"] is not None:
        told["error"] = {"code": row["error_code"], "message": row["error"], "status": row["error_status"]}
    if request.caller.is_admin:
        more = ("queue", "owner", "epoch", "attempts", "cancel", "waits_for", "input", "results")
        told |= {name: row[name] for name in more}
    return told
