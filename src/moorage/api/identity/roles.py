"""Roles on the wire, and which imply which."""

from typing import Any

from moorage.api.identity import asking, policy, shown
from moorage.api.request import Answer, Request
from moorage.database.transaction import Row
from moorage.identity import role, rows
from moorage.identity.errors import Missing
from moorage.identity.records import roles

_KNOWN = frozenset({"name", "description", "domain_id", "options"})


def create(request: Request) -> Answer:
    """The role is there."""
    policy.may_write(request.caller, "create_role")
    with request.write() as tx:
        row = role.create(tx, request.caller, asking.columns(request.body["role"], _KNOWN))
    return Answer(201, {"role": shown.role(request, row)})


def index(request: Request) -> Answer:
    """The roles that fit the filters; none belongs to a domain."""
    policy.may_read(request.caller, "list_roles")
    with request.read() as tx:
        found = [] if request.asked("domain_id") else rows.listed(tx, roles, name=request.asked("name"))
    return shown.collection(request, "roles", [shown.role(request, row) for row in found])


def show(request: Request) -> Answer:
    """The role."""
    policy.may_read(request.caller, "get_role")
    with request.read() as tx:
        return Answer(200, {"role": shown.role(request, rows.get(tx, roles, request.params["id"]))})


def update(request: Request) -> Answer:
    """The role has the values that were asked for."""
    policy.may_write(request.caller, "update_role")
    with request.write() as tx:
        row = role.update(tx, request.caller, request.params["id"], asking.columns(request.body["role"], _KNOWN))
    return Answer(200, {"role": shown.role(request, row)})


def delete(request: Request) -> Answer:
    """The role is gone, from everybody who had it."""
    policy.may_write(request.caller, "delete_role")
    with request.write() as tx:
        role.delete(tx, request.caller, request.params["id"])
    return Answer(204)


def inferences(request: Request) -> Answer:
    """Every role that implies others, with those."""
    policy.may_read(request.caller, "list_role_inference_rules")
    with request.read() as tx:
        named = {row["id"]: row for row in rows.listed(tx, roles)}
        graph = role.graph(tx)
    found = [
        {"prior_role": _brief(request, named[prior]), "implies": [_brief(request, named[id]) for id in sorted(implied)]}
        for prior, implied in graph.items()
    ]
    return Answer(200, {"role_inferences": found})


def implied(request: Request) -> Answer:
    """The roles that this one implies, directly."""
    policy.may_read(request.caller, "list_implied_roles")
    with request.read() as tx:
        prior = rows.get(tx, roles, request.params["prior_id"])
        found = role.named(tx, role.graph(tx).get(prior["id"], set()))
    inference = {"prior_role": _brief(request, prior), "implies": [_brief(request, row) for row in found]}
    return Answer(200, {"role_inference": inference, "links": {"self": shown.address(request)}})


def imply(request: Request) -> Answer:
    """Whoever has the one role has the other as well."""
    policy.may_write(request.caller, "create_implied_role")
    with request.write() as tx:
        role.imply(tx, request.caller, request.params["prior_id"], request.params["implied_id"])
    return _inference(request, 201)


def implies(request: Request) -> Answer:
    """Whether the one role implies the other, directly."""
    policy.may_read(request.caller, "get_implied_role")
    found = _inference(request, 200)
    return Answer(204) if request.method == "HEAD" else found


def imply_no_more(request: Request) -> Answer:
    """The one role does not imply the other any more."""
    policy.may_write(request.caller, "delete_implied_role")
    with request.write() as tx:
        role.imply_no_more(tx, request.caller, request.params["prior_id"], request.params["implied_id"])
    return Answer(204)


def _inference(request: Request, status: int) -> Answer:
    prior_id, implied_id = request.params["prior_id"], request.params["implied_id"]
    with request.read() as tx:
        prior, found = rows.get(tx, roles, prior_id), rows.get(tx, roles, implied_id)
        if not role.implies(tx, prior_id, implied_id):
            raise Missing(kind="role inference rule", id=f"{prior_id[:64]} implies {implied_id[:64]}")
    inference = {"prior_role": _brief(request, prior), "implies": _brief(request, found)}
    return Answer(status, {"role_inference": inference, "links": {"self": shown.address(request)}})


def _brief(request: Request, row: Row) -> dict[str, Any]:
    return {"id": row["id"], "links": shown.links(request, "roles", row["id"]), "name": row["name"]}
