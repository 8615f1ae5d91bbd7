"""
Attaching as it was before attachments had ids: `POST /volumes/{id}/action` with os-reserve, os-attach and their like.

The same attachments, doors and fences as those of `/attachments`; what is held in between is a hold.
"""

from collections.abc import Mapping
from typing import Any

from moorage.api.block_storage import grounds, policy, views
from moorage.api.block_storage.actions import locked
from moorage.api.block_storage.attachments import door_for
from moorage.api.request import Answer, Later, Outcome, Request
from moorage.core.errors import Malformed
from moorage.database import Transaction
from moorage.flows.attachments.publish_attachment import Overtaken
from moorage.hosts import lease
from moorage.volumes.attachments import attachment, detachment, exports, generation, hold, holder, reservation
from moorage.volumes.attachments.guard import Grounds
from moorage.volumes.attachments.holder import Holder


def _accepted(request: Request) -> Answer:
    return Answer(202)


def _when(operation: str | None) -> Answer | Later:
    return Answer(202) if operation is None else Later(operation, _accepted)


def reserve(request: Request) -> Answer:
    """The volume is kept for whoever attaches it next."""
    with request.write() as tx:
        hold.reserve(tx, request.caller, locked(tx, request, policy.RESERVE))
    return Answer(202)


def unreserve(request: Request) -> Answer | Later:
    """The volume is not kept for him any more; nothing is said where it was not."""
    with request.write() as tx:
        operation = hold.unreserve(tx, request.caller, locked(tx, request, policy.UNRESERVE))
    return _when(operation)


def begin_detaching(request: Request) -> Answer:
    """Somebody means to detach one attachment; it goes on until he does."""
    with request.write() as tx:
        detachment.begin(tx, locked(tx, request, policy.BEGIN_DETACHING), request.request_id)
    return Answer(202)


def roll_detaching(request: Request) -> Answer:
    """Nobody means to detach that attachment any more."""
    with request.write() as tx:
        detachment.roll_back(tx, locked(tx, request, policy.ROLL_DETACHING), request.request_id)
    return Answer(202)


def initialize_connection(request: Request) -> Answer | Later:
    """The volume is open to the holder where he says that he is; how he gets in."""
    connector = request.body["os-initialize_connection"]["connector"]
    with request.write() as tx:
        row = locked(tx, request, policy.INITIALIZE_CONNECTION)
        claim, operation = hold.connect(tx, request.caller, row, connector, door_for(request, row, connector))
        if operation is None:
            return _connection(request, claim)
        if reservation.find(tx, request.caller, claim["id"])["generation"] != claim["generation"]:
            lease.end(tx, claim["id"])  # it was another generation's
    return Later(operation, lambda request: _opened(request, claim["id"], connector), making=True)


def _opened(request: Request, id: str, connector: Mapping[str, Any]) -> Answer:
    """The way in, unless somebody has closed it or asked for another one since it was opened."""
    with request.read() as tx:
        claim = reservation.find(tx, request.caller, id)
    if claim["state"] not in exports.PUBLISHED or not claim["connection"] or not hold.same(claim, connector):
        raise Overtaken(id=id)
    return _connection(request, claim)


def _connection(request: Request, claim: Mapping[str, Any]) -> Answer:
    info = views.connection_info(claim, secret=views.may_see_secret(claim, request.caller))
    kind, multipath = info.pop("driver_volume_type"), info["enforce_multipath"]
    nested = {"driver_volume_type": kind, "data": info, "enforce_multipath": multipath}
    return Answer(200, {"connection_info": nested}, generation.shown(claim))


def terminate_connection(request: Request) -> Outcome:
    """The volume is closed to the holder at that place."""
    return grounds.decided(request, _terminate_connection)


def _terminate_connection(request: Request, known: Grounds) -> Answer | Later:
    connector = request.body["os-terminate_connection"]["connector"] or {}
    with request.write() as tx:
        row = locked(tx, request, policy.TERMINATE_CONNECTION)
        there = [claim for claim in attachment.held(tx, row["id"]) if hold.same(claim, connector)]
        if len(there) == 1:
            generation.check(there[0], request.headers)
        operation = detachment.disconnect(tx, request.caller, row, connector, known)
    return _when(operation)


def attach(request: Request) -> Answer:
    """The volume is attached to a server or a host, whose own word it is."""
    asked = request.body["os-attach"]
    server, host = asked.get("instance_uuid") or None, asked.get("host_name") or None
    if bool(server) == bool(host):
        raise Malformed(reason="Either instance_uuid or host_name must say to whom the volume is attached, not both.")
    with request.write() as tx:
        row = locked(tx, request, policy.ATTACH)
        holder.attach(tx, request.caller, row, Holder(server, host, asked["mountpoint"], asked.get("mode")))
    return Answer(202)


def detach(request: Request) -> Outcome:
    """The holder cannot reach the volume any more."""
    return grounds.decided(request, _detach)


def _detach(request: Request, known: Grounds) -> Answer | Later:
    id = (request.body["os-detach"] or {}).get("attachment_id")
    with request.write() as tx:
        row = locked(tx, request, policy.DETACH)
        _not_superseded(tx, request, row, id)
        operation = detachment.detach(tx, request.caller, row, id, known)
    return _when(operation)


def force_detach(request: Request) -> Outcome:
    """The same, whatever became of the holder."""
    return grounds.decided(request, _force_detach)


def _force_detach(request: Request, known: Grounds) -> Answer | Later:
    asked = request.body["os-force_detach"] or {}
    connector = asked.get("connector") or {}
    with request.write() as tx:
        row = locked(tx, request, policy.FORCE_DETACH)
        _not_superseded(tx, request, row, asked.get("attachment_id"))
        operation = detachment.force(tx, request.caller, row, asked.get("attachment_id"), connector, known)
    return _when(operation)


def _not_superseded(tx: Transaction, request: Request, row: Mapping[str, Any], id: str | None) -> None:
    """Refuse a caller who names a generation that the attachment that he means, the only one or `id`, is past."""
    if generation.HEADER not in request.headers:
        return
    held = attachment.held(tx, row["id"])
    for claim in held:
        if id == claim["id"] or (id is None and len(held) == 1):
            generation.check(claim, request.headers)
