"""Attachments: reserve, publish, complete, withdraw; and what there are."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, or_

from moorage.api.block_storage import grounds, keys, lists, policy, views
from moorage.api.block_storage.lists import Listing
from moorage.api.patience import HEADER, patience_s
from moorage.api.request import Answer, Later, Outcome, Request
from moorage.core.caller import MOORAGE, Caller
from moorage.core.errors import Malformed, Problem
from moorage.database import Transaction
from moorage.hosts import lease
from moorage.volumes import custody, volume
from moorage.volumes.attachments import (
    attachment,
    doors,
    generation,
    guard,
    publication,
    queue,
    reservation,
    withdrawal,
)
from moorage.volumes.attachments.attachment import Origin, State
from moorage.volumes.attachments.guard import Grounds
from moorage.volumes.attachments.queue import Asked
from moorage.volumes.backend import Door
from moorage.volumes.errors import NotReservable, NotReservableShared
from moorage.volumes.records import attachments

c = attachments.c

LISTING = Listing(
    table=attachments,
    sorts={"id": "id", "created_at": "created_at", "updated_at": "updated_at", "volume_id": "volume_id"},
    filters={
        "volume_id": lists.equals(c.volume_id),
        "status": lists.equals(c.state),
        "attach_status": lists.equals(c.state),
        "instance_id": lists.equals(c.instance_uuid),
    },
    admin_filters={
        "project_id": lists.equals(c.project_id),
        "instance_uuid": lists.equals(c.instance_uuid),
        "attached_host": lists.equals(c.host),
        "id": lists.equals(c.id),
    },
)


def is_listed() -> ColumnElement[bool]:
    """The condition that an attachment is not a hold; only who has its id finds one of those."""
    return or_(c.origin.is_(None), c.origin != str(Origin.HOLD))


def create(request: Request) -> Answer | Later:
    """The volume is claimed for its holder; with a connector, it is open to him there as well."""
    asked = request.body["attachment"]
    connector = asked.get("connector") or None
    with request.write() as tx:
        row = volume.find(tx, request.caller, asked["volume_uuid"])
        request.caller.must(policy.ATTACHMENT_CREATE, row["project_id"])
        door = door_for(request, row, connector) if connector else None
        row = volume.locked(tx, request.caller, row["id"])
        first = keys.earlier(tx, request, row["project_id"], frozenset({"publish-attachment", queue.KIND}))
        if first is not None:
            return Later(first["id"], _shown(first["input"]["attachment"]))
        if row["multiattach"] and row["bootable"] and row["status"] == "in-use":
            request.caller.must(policy.MULTIATTACH_BOOTABLE, row["project_id"])
        instance = asked.get("instance_uuid") or None
        try:
            claim, operation = reservation.reserve(
                tx, request.caller, row, instance, asked.get("mode"), connector, door, keys.asked(request)
            )
        except (NotReservable, NotReservableShared) as refusal:
            return _queued(tx, request, row, Asked(instance, asked.get("mode"), connector, door), refusal)
        _lease(tx, request, claim)
        if operation is None:
            return _answer(request, claim, secret=True)
    return Later(operation, _shown(claim["id"]), making=True)


def _queued(tx: Transaction, request: Request, row: Mapping[str, Any], asked: Asked, refusal: Problem) -> Later:
    """Its place in the queue for the locked volume `row`, where the client wants to wait; else the refusal stands."""
    wait_s = patience_s(request.headers) if HEADER in request.headers else 0.0
    if not wait_s or not queue.may_join(tx, row):
        raise refusal
    process, key = request.rooms.process or None, keys.asked(request)
    id, operation = queue.join(tx, request.caller, row, asked, wait_s, process, key)

    return Later(operation, _served(id), making=True)


def _served(id: str) -> Callable[[Request], Answer]:
    def answer(request: Request) -> Answer:
        with request.write() as tx:
            claim = reservation.find(tx, request.caller, id)
            _lease(tx, request, claim)
            return _answer(request, claim, secret=True)

    return answer


def door_for(request: Request, row: Mapping[str, Any], connector: Mapping[str, Any]) -> Door:
    """The door to the volume `row` for whoever asks from where `connector` says."""
    held = request.rooms.backends.get(row["backend"])
    traits = held.traits if held is not None else None
    return doors.door(connector, request.caller, row["host"], local=request.local, traits=traits)


def update(request: Request) -> Answer | Later:
    """The volume is open to the holder where he says that he is, and nowhere else."""
    connector = request.body["attachment"]["connector"]
    with request.write() as tx:
        row, claim = _locked(tx, request, policy.ATTACHMENT_UPDATE)
        operation = publication.publish(tx, request.caller, row, claim, connector, door_for(request, row, connector))
        _lease(tx, request, reservation.find(tx, request.caller, claim["id"]), claim["generation"])
        if operation is None:
            return _answer(request, claim, secret=True)
    return Later(operation, _shown(claim["id"]))


def _lease(tx: Transaction, request: Request, claim: Mapping[str, Any], was: int | None = None) -> None:
    """
    The attachment has the lease that the request asks for, a full term from now. Another generation than it `was` in
    has none that it did not ask for.
    """
    term_s = lease.asked(request.headers)
    if term_s is not None:
        lease.take(tx, claim["id"], claim["host"], term_s)
    elif was is not None and claim["generation"] != was:
        lease.end(tx, claim["id"])


def complete(request: Request) -> Answer:
    """The holder sees the device."""
    with request.write() as tx:
        row, claim = _locked(tx, request, policy.ATTACHMENT_COMPLETE)
        publication.complete(tx, request.caller, row, claim)
        _lease(tx, request, claim)
    return Answer(204, headers=generation.shown(claim))


def delete(request: Request) -> Outcome:
    """The holder cannot reach the volume any more, whatever he does; what remains on the volume is listed."""
    return grounds.decided(request, _delete)


def _delete(request: Request, known: Grounds) -> Answer | Later:
    with request.write() as tx:
        row, claim = _locked(tx, request, policy.ATTACHMENT_DELETE)
        guard.check(claim, request.caller, known)
        operation = withdrawal.withdraw(tx, request.caller, row, [claim])
        if operation is None:
            return _remaining(row["id"])(request, tx)
    return Later(operation, _after(_detached(claim["id"], row["id"])))


def _locked(tx: Transaction, request: Request, rule: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    found = reservation.find(tx, request.caller, request.params["id"])
    request.caller.must(rule, found["project_id"])
    row, claim = reservation.locked(tx, request.caller, found["id"])
    if claim["user_id"] == MOORAGE:
        custody.permit(request.caller, row)
    generation.check(claim, request.headers)
    return row, claim


def _after(body: Callable[[Request, Transaction], Answer]) -> Callable[[Request], Answer]:
    def answer(request: Request) -> Answer:
        with request.read() as tx:
            return body(request, tx)

    return answer


def _detached(id: str, volume_id: str) -> Callable[[Request, Transaction], Answer]:
    """
    What remains on the volume. A holder who names his generation hears of it if the data plane died on the way and took
    writes with it.
    """

    def body(request: Request, tx: Transaction) -> Answer:
        claim = tx.get(attachments, id)
        if claim is not None:
            generation.check(claim, request.headers)
        return _remaining(volume_id)(request, tx)

    return body


def _remaining(volume_id: str) -> Callable[[Request, Transaction], Answer]:
    def body(request: Request, tx: Transaction) -> Answer:
        left = [row for row in attachment.held(tx, volume_id) if row["origin"] != Origin.HOLD]
        return Answer(200, {"attachments": [_summary(request, row) for row in left]})

    return body


def _shown(id: str) -> Callable[[Request], Answer]:
    def answer(request: Request) -> Answer:
        with request.read() as tx:
            return _answer(request, reservation.find(tx, request.caller, id), secret=True)

    return answer


def _answer(request: Request, claim: Mapping[str, Any], *, secret: bool) -> Answer:
    body = {"attachment": views.attachment(request, claim, secret=secret)}
    return Answer(200, body, generation.shown(claim))


def _summary(request: Request, row: Mapping[str, Any]) -> dict[str, Any]:
    return views.ATTACHMENT_SUMMARY(row, request.version, request.caller)


def show(request: Request) -> Answer:
    """One attachment, with its secret for those who may see it."""
    with request.read() as tx:
        claim = reservation.find(tx, request.caller, request.params["id"])
        request.caller.must(policy.ATTACHMENT_GET, claim["project_id"])
        return _answer(request, claim, secret=True)


def index(request: Request) -> Answer:
    """The project's attachments."""
    return Answer(200, {"attachments": [_summary(request, row) for row in _rows(request)]})


def detail(request: Request) -> Answer:
    """The project's attachments in detail, without any secret."""
    return Answer(200, {"attachments": [views.attachment(request, row) for row in _rows(request)]})


def _rows(request: Request) -> Sequence[Mapping[str, Any]]:
    request.caller.must(policy.ATTACHMENT_GET)
    page, where = lists.page(request, LISTING), lists.conditions(request, LISTING)
    where += [c.state != str(State.DETACHED), is_listed()]
    with request.read() as tx:
        return lists.rows(tx, request, attachments, page, where, _marker(tx, request.caller, page.marker))


def _marker(tx: Transaction, caller: Caller, id: str | None) -> Mapping[str, Any] | None:
    if id is not None and "\0" in id:
        raise Malformed(reason="The marker is not an id.")
    return None if id is None else reservation.find(tx, caller, id)
