"""Domains on the wire."""

from moorage.api.identity import asking, policy, shown
from moorage.api.request import Answer, Request
from moorage.identity import domain, rows
from moorage.identity.records import domains

_KNOWN = frozenset({"name", "description", "enabled", "tags", "options"})


def create(request: Request) -> Answer:
    """The domain is there."""
    policy.may_write(request.caller, "create_domain")
    with request.write() as tx:
        row = domain.create(tx, request.caller, asking.columns(request.body["domain"], _KNOWN))
    return Answer(201, {"domain": shown.domain(request, row)})


def index(request: Request) -> Answer:
    """The domains that fit the filters."""
    policy.may_read(request.caller, "list_domains")
    with request.read() as tx:
        found = rows.listed(tx, domains, name=request.asked("name"), enabled=asking.flag(request, "enabled"))
    return shown.collection(request, "domains", [shown.domain(request, row) for row in found])


def show(request: Request) -> Answer:
    """The domain."""
    id = request.params["id"]
    policy.may_read(request.caller, "get_domain", own=id == request.caller.domain_id)
    with request.read() as tx:
        return Answer(200, {"domain": shown.domain(request, rows.get(tx, domains, id))})


def update(request: Request) -> Answer:
    """The domain has the values that were asked for."""
    policy.may_write(request.caller, "update_domain")
    with request.write() as tx:
        asked = asking.columns(request.body["domain"], _KNOWN)
        row = domain.update(tx, request.caller, request.params["id"], asked)
    return Answer(200, {"domain": shown.domain(request, row)})


def delete(request: Request) -> Answer:
    """The domain is gone, with all that is in it."""
    policy.may_write(request.caller, "delete_domain")
    with request.write() as tx:
        domain.delete(tx, request.caller, request.params["id"])
    return Answer(204)
