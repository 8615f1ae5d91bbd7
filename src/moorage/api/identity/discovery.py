"""What there is here, before anybody logs in."""

from typing import Any

from moorage.api.request import Answer, Request
from moorage.core.errors import NotFound


def versions(request: Request) -> Answer:
    """Every version of Identity, for clients that ask at the root."""
    return Answer(300, {"versions": {"values": [_v3(request)]}})


def v3(request: Request) -> Answer:
    """The one version that there is."""
    return Answer(200, {"version": _v3(request)})


def gone(request: Request) -> Answer:
    """Nothing: the version before is not served."""
    raise NotFound()


def _v3(request: Request) -> dict[str, Any]:
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": f"{request.url}/v3/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }
