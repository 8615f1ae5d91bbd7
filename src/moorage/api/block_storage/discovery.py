"""The version documents."""

from typing import Any

from moorage.api.block_storage.versions import V
from moorage.api.request import Answer, Request
from moorage.api.versions import shown

UPDATED = "2023-08-31T00:00:00Z"
KEPT_AT = "https://docs.openstack.org/"


def _version(request: Request) -> dict[str, Any]:
    return {
        "id": "v3.0",
        "status": "CURRENT",
        "version": shown(V.maximum),
        "min_version": shown(V.minimum),
        "updated": UPDATED,
        "links": [
            {"rel": "describedby", "type": "text/html", "href": KEPT_AT},
            {"rel": "self", "href": f"{request.url}/v3/"},
        ],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}],
    }


def root(request: Request) -> Answer:
    """All versions, as 300."""
    return Answer(300, {"versions": [_version(request)]})


def v3(request: Request) -> Answer:
    """The versions of v3."""
    return Answer(200, {"versions": [_version(request)]})


def health(request: Request) -> Answer:
    """The service answers, and so does its database."""
    with request.read():
        return Answer(200, content=b"OK", content_type="text/plain; charset=utf-8")
