"""Services of the catalog on the wire."""

from moorage.api.identity import policy, shown
from moorage.api.request import Answer, Request
from moorage.identity import rows, service
from moorage.identity.records import services


def create(request: Request) -> Answer:
    """The service is in the catalog."""
    policy.may_write(request.caller, "create_service")
    with request.write() as tx:
        row = service.create(tx, request.caller, request.body["service"])
    return Answer(201, {"service": shown.service(request, row)})


def index(request: Request) -> Answer:
    """The services that fit the filters."""
    policy.may_read(request.caller, "list_services")
    with request.read() as tx:
        found = rows.listed(tx, services, type=request.asked("type"), name=request.asked("name"))
    return shown.collection(request, "services", [shown.service(request, row) for row in found])


def show(request: Request) -> Answer:
    """The service."""
    policy.may_read(request.caller, "get_service")
    with request.read() as tx:
        return Answer(200, {"service": shown.service(request, rows.get(tx, services, request.params["id"]))})


def update(request: Request) -> Answer:
    """The service has the values that were asked for."""
    policy.may_write(request.caller, "update_service")
    with request.write() as tx:
        row = service.update(tx, request.caller, request.params["id"], request.body["service"])
    return Answer(200, {"service": shown.service(request, row)})


def delete(request: Request) -> Answer:
    """The service is gone."""
    policy.may_write(request.caller, "delete_service")
    with request.write() as tx:
        service.delete(tx, request.caller, request.params["id"])
    return Answer(204)
