"""All calls of Moorage's own API."""

from moorage.api.bodies import Body
from moorage.api.moorage import attachments, doctor, events, hosts, operations, status, volumes, why
from moorage.api.routes import Route

EXAMINE = Body({"type": "object", "properties": {"fix": {"type": "boolean"}}, "additionalProperties": False})

# fmt: off
ROUTES = (
    Route("GET",  "/v1/status",            status.show),
    Route("GET",  "/v1/why/{kind}/{id}",   why.show),
    Route("GET",  "/v1/events",            events.index, query=events.QUERY),
    Route("GET",  "/v1/operations",        operations.index, query=("limit", "marker", "state", "resource_id")),
    Route("GET",  "/v1/operations/{id}",   operations.show),
    Route("GET",  "/v1/attachments/{id}",  attachments.show),
    Route("GET",  "/v1/volumes/{id}",      volumes.show),
    Route("GET",  "/v1/hosts",             hosts.index),
    Route("GET",  "/v1/hosts/{id}",        hosts.show),
    Route("POST", "/v1/doctor",            doctor.examine, body=EXAMINE),
)
# fmt: on
