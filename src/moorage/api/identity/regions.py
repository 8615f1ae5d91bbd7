"""Regions of the catalog on the wire."""

from moorage.api.identity import policy, shown
from moorage.api.request import Answer, Request
from moorage.identity import region, rows
from moorage.identity.records import regions


def create(request: Request) -> Answer:
    """The region is in the catalog."""
    policy.may_write(request.caller, "create_region")
    with request.write() as tx:
        row = region.create(tx, request.caller, request.body["region"])
    return Answer(201, {"region": shown.region(request, row)})


def index(request: Request) -> Answer:
    """The regions that fit the filters."""
    policy.may_read(request.caller, "list_regions")
    with request.read() as tx:
        found = rows.listed(tx, regions, parent_region_id=request.asked("parent_region_id"))
    return shown.collection(request, "regions", [shown.region(request, row) for row in found])


def show(request: Request) -> Answer:
    """The region."""
    policy.may_read(request.caller, "get_region")
    with request.read() as tx:
        return Answer(200, {"region": shown.region(request, rows.get(tx, regions, request.params["id"]))})


def update(request: Request) -> Answer:
    """The region has the values that were asked for."""
    policy.may_write(request.caller, "update_region")
    with request.write() as tx:
        row = region.update(tx, request.caller, request.params["id"], request.body["region"])
    return Answer(200, {"region": shown.region(request, row)})


def delete(request: Request) -> Answer:
    """The region is gone."""
    policy.may_write(request.caller, "delete_region")
    with request.write() as tx:
        region.delete(tx, request.caller, request.params["id"])
    return Answer(204)


def put(request: Request) -> Answer:
    """The region is in the catalog, under the id in the path."""
    policy.may_write(request.caller, "create_region")
    asked = {**((request.body or {}).get("region") or {}), "id": request.params["id"]}
    with request.write() as tx:
        row = region.create(tx, request.caller, asked)
    return Answer(201, {"region": shown.region(request, row)})
