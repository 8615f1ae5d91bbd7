"""What the images of a project may take, set by administrators: Image's own API can only show it."""

from typing import Any

from moorage.api.moorage import policy
from moorage.api.request import Answer, Request
from moorage.images import allowance
from moorage.images.allowance import UNITS

_LIMIT = {"type": "integer", "minimum": -1, "maximum": 2**40}

BODY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "image_quota": {
            "type": "object",
            "properties": dict.fromkeys(UNITS, _LIMIT),
            "additionalProperties": False,
        }
    },
    "required": ["image_quota"],
    "additionalProperties": False,
}
_LONGEST = 64


def show(request: Request) -> Answer:
    """The limits of the project, -1 for none, and what it takes."""
    project = _project(request)
    request.caller.must(policy.IMAGE_QUOTA_SHOW, project)
    return _shown(request, project)


def update(request: Request) -> Answer:
    """The project has these limits, and as before those that are not named."""
    project = _project(request)
    request.caller.must(policy.IMAGE_QUOTA_UPDATE)
    with request.write() as tx:
        allowance.set_limits(tx, project, request.body["image_quota"])
    return _shown(request, project)


def reset(request: Request) -> Answer:
    """The project has the limits of the configuration."""
    request.caller.must(policy.IMAGE_QUOTA_UPDATE)
    with request.write() as tx:
        allowance.reset_limits(tx, _project(request))
    return Answer(204)


def _project(request: Request) -> str:
    return request.params["id"][:_LONGEST]


def _shown(request: Request, project: str) -> Answer:
    with request.read() as tx:
        limits = allowance.limits(tx, project, request.rooms.settings.images)
        used = allowance.usage(tx, project)
    shown = {name: {"limit": limits[name], "usage": -(-used[name] // unit)} for name, unit in UNITS.items()}
    return Answer(body={"image_quota": {"project_id": project, **shown}})
