"""Endpoints of the catalog on the wire."""

from moorage.api.identity import policy, shown
from moorage.api.request import Answer, Request
from moorage.identity import endpoint, rows
from moorage.identity.records import endpoints


def create(request: Request) -> Answer:
    """The endpoint is in the catalog."""
    policy.may_write(request.caller, "create_endpoint")
    with request.write() as tx:
        row = endpoint.create(tx, request.caller, request.body["endpoint"])
    return Answer(201, {"endpoint": shown.endpoint(request, row)})


def index(request: Request) -> Answer:
    """The endpoints that fit the filters."""
    policy.may_read(request.caller, "list_endpoints")
    with request.read() as tx:
        found = rows.listed(
            tx,
            endpoints,
            service_id=request.asked("service_id"),
            interface=request.asked("interface"),
            region_id=request.asked("region_id"),
        )
    return shown.collection(request, "endpoints", [shown.endpoint(request, row) for row in found])


def show(request: Request) -> Answer:
    """The endpoint."""
    policy.may_read(request.caller, "get_endpoint")
    with request.read() as tx:
        return Answer(200, {"endpoint": shown.endpoint(request, rows.get(tx, endpoints, request.params["id"]))})


def update(request: Request) -> Answer:
    """The endpoint has the values that were asked for."""
    policy.may_write(request.caller, "update_endpoint")
    with request.write() as tx:
        row = endpoint.update(tx, request.caller, request.params["id"], request.body["endpoint"])
    return Answer(200, {"endpoint": shown.endpoint(request, row)})


def delete(request: Request) -> Answer:
    """The endpoint is gone."""
    policy.may_write(request.caller, "delete_endpoint")
    with request.write() as tx:
        endpoint.delete(tx, request.caller, request.params["id"])
    return Answer(204)
