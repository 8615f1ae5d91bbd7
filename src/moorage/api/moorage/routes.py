"""All calls of Moorage's own API."""

from moorage.api.bodies import Body
from moorage.api.moorage import (
    attachments,
    doctor,
    events,
    hosts,
    image_quotas,
    operations,
    queue,
    status,
    volumes,
    why,
)
from moorage.api.routes import Route

EXAMINE = Body({"type": "object", "properties": {"fix": {"type": "boolean"}}, "additionalProperties": False})

REGISTER = Body(
    {
        "type": "object",
        "properties": {
            "host": {
                "type": "object",
                "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 64}},
                "required": ["name"],
                "additionalProperties": False,
            }
        },
        "required": ["host"],
        "additionalProperties": False,
    }
)
_TEXT = {"type": "string", "maxLength": 255}
_DEVICE = {
    "type": "object",
    "properties": {
        "path": _TEXT,
        "read_only": {"type": "boolean"},
        "alive": {"type": "boolean"},
        "mounted": {"type": ["string", "null"], "maxLength": 4096},
    },
    "required": ["path", "read_only", "alive", "mounted"],
    "additionalProperties": False,
}
_BEAT = {
    "boot": {"type": "string", "maxLength": 128},
    "version": {"type": "string", "maxLength": 32},
    "agent": _TEXT,
    "obstacles": {"type": "array", "maxItems": 100, "items": {"type": "string", "maxLength": 1000}},
    "devices": {
        "type": "object",
        "maxProperties": 4096,
        "propertyNames": {"format": "uuid"},
        "additionalProperties": _DEVICE,
    },
}
HEARTBEAT = Body(
    {
        "type": "object",
        "properties": {
            "heartbeat": {
                "type": "object",
                "properties": _BEAT,
                "required": sorted(_BEAT),
                "additionalProperties": False,
            }
        },
        "required": ["heartbeat"],
        "additionalProperties": False,
    }
)

# fmt: off
ROUTES = (
    Route("GET",  "/v1/status",            status.show),
    Route("GET",  "/v1/why/{kind}/{id}",   why.show, query=why.QUERY),
    Route("GET",  "/v1/events",            events.index, query=events.QUERY),
    Route("GET",  "/v1/operations",        operations.index, query=("limit", "marker", "state", "resource_id")),
    Route("GET",  "/v1/operations/{id}",   operations.show),
    Route("DELETE", "/v1/operations/{id}", operations.cancel, success=202),
    Route("GET",  "/v1/attachments",       attachments.index, query=attachments.QUERY),
    Route("GET",  "/v1/queue",             queue.index, query=queue.QUERY),
    Route("GET",  "/v1/attachments/{id}",  attachments.show),
    Route("GET",  "/v1/volumes/{id}",      volumes.show),
    Route("GET",  "/v1/hosts",             hosts.index),
    Route("GET",  "/v1/hosts/{id}",        hosts.show),
    Route("POST", "/v1/hosts",             hosts.register, body=REGISTER, success=201),
    Route("DELETE", "/v1/hosts/{id}",      hosts.unregister, success=204),
    Route("POST", "/v1/hosts/{id}/heartbeat", hosts.heartbeat, body=HEARTBEAT, open=True),
    Route("GET",  "/v1/hosts/{id}/leases", hosts.leases, open=True),
    Route("GET",  "/v1/image-quotas/{id}", image_quotas.show),
    Route("PUT",  "/v1/image-quotas/{id}", image_quotas.update, body=Body(image_quotas.BODY)),
    Route("DELETE", "/v1/image-quotas/{id}", image_quotas.reset, success=204),
    Route("POST", "/v1/doctor",            doctor.examine, body=EXAMINE),
)
# fmt: on
