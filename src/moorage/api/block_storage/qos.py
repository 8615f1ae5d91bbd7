"""Quality of service: sets of limits, and the volume types that refer to them."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from moorage.api.block_storage import lists, policy, views
from moorage.api.block_storage.lists import Listing
from moorage.api.request import Answer, Request
from moorage.core.errors import Malformed
from moorage.database import Transaction
from moorage.database.paging import paged
from moorage.volumes import qos, volume_type
from moorage.volumes.records import qos_specs

LISTING = Listing(
    table=qos_specs, sorts={"id": "id", "name": "name", "consumer": "consumer", "created_at": "created_at"}, filters={}
)


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "name", "consumer", "specs")}


def _answer(request: Request, row: Mapping[str, Any]) -> Answer:
    return Answer(200, {"qos_specs": _shown(row), "links": views.links(request, f"qos-specs/{row['id']}")})


def index(request: Request) -> Answer:
    """All sets."""
    request.caller.must(policy.QOS_READ)
    page = lists.page(request, LISTING)
    with request.read() as tx:
        marker = qos.find(tx, page.marker.replace("\0", "")) if page.marker is not None else None
        rows = tx.all(paged(select(qos_specs), qos_specs, page, marker)) if page.limit else []
    body: dict[str, Any] = {"qos_specs": [_shown(row) for row in rows]}
    more = lists.next_link(request, "qos-specs", rows, page)
    return Answer(200, body if more is None else {**body, "qos_specs_links": more})


def show(request: Request) -> Answer:
    """One set."""
    request.caller.must(policy.QOS_READ)
    with request.read() as tx:
        return _answer(request, qos.find(tx, request.params["id"]))


def create(request: Request) -> Answer:
    """There is a new set."""
    request.caller.must(policy.QOS_WRITE)
    asked = dict(request.body["qos_specs"])
    name, consumer = asked.pop("name").strip(), asked.pop("consumer", "back-end")
    with request.write() as tx:
        return _answer(request, qos.create(tx, name, consumer, asked))


def update(request: Request) -> Answer:
    """The set has these limits, too."""
    asked = request.body["qos_specs"]
    specs = {key: value for key, value in asked.items() if key != "consumer"}
    with request.write() as tx:
        qos.change(tx, _locked(tx, request), asked.get("consumer"), specs)
    return Answer(200, {"qos_specs": asked})


def delete_keys(request: Request) -> Answer:
    """The set has these limits no more."""
    with request.write() as tx:
        qos.drop(tx, _locked(tx, request), request.body["keys"])
    return Answer(202)


def delete(request: Request) -> Answer:
    """The set is gone; with `force`, no type refers to it any more."""
    with request.write() as tx:
        qos.remove(tx, _locked(tx, request), force=request.asked_flag("force"))
    return Answer(202)


def _locked(tx: Transaction, request: Request) -> Mapping[str, Any]:
    request.caller.must(policy.QOS_WRITE)
    return qos.locked(tx, request.params["id"])


def associations(request: Request) -> Answer:
    """The types that refer to the set."""
    request.caller.must(policy.QOS_READ)
    with request.read() as tx:
        rows = qos.users(tx, qos.find(tx, request.params["id"])["id"])
    shown = [{"association_type": "volume_type", "name": row["name"], "id": row["id"]} for row in rows]
    return Answer(200, {"qos_associations": shown})


def _type(request: Request) -> str:
    asked = request.asked("vol_type_id")
    if not asked or "\0" in asked:
        raise Malformed(reason="Volume Type id must not be None.")
    return asked


def associate(request: Request) -> Answer:
    """The type refers to the set."""
    request.caller.must(policy.QOS_WRITE)
    with request.write() as tx:
        row = volume_type.locked(tx, _type(request))
        qos.refer(tx, row, _locked(tx, request)["id"])
    return Answer(202)


def disassociate(request: Request) -> Answer:
    """The type does not refer to the set."""
    request.caller.must(policy.QOS_WRITE)
    with request.write() as tx:
        row = volume_type.locked(tx, _type(request))
        qos.part(tx, row, _locked(tx, request)["id"])
    return Answer(202)


def disassociate_all(request: Request) -> Answer:
    """No type refers to the set."""
    with request.write() as tx:
        qos.release(tx, _locked(tx, request)["id"])
    return Answer(202)
