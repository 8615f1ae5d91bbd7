"""How the records of Identity look on the wire."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from moorage.api.request import Answer, Request
from moorage.database.transaction import Row
from moorage.identity.rows import MOST

Shown = dict[str, Any]


def public_url(request: Request) -> str:
    """Where Moorage is reached: scheme and host."""
    return request.url.removesuffix("/identity")


def address(request: Request) -> str:
    """What was asked for, as a link."""
    query = f"?{urlencode(request.query)}" if request.query else ""
    return f"{request.url}{quote(request.path)}{query}"


def collection(request: Request, name: str, items: Sequence[Shown]) -> Answer:
    """A list with its links; one that is too long is cut, and says so."""
    body: Shown = {name: list(items[:MOST]), "links": {"next": None, "self": address(request), "previous": None}}
    if len(items) > MOST:
        body["truncated"] = True
    return Answer(200, body)


def links(request: Request, *path: str) -> Shown:
    """The link to an object itself."""
    return {"self": f"{request.url}/v3/" + "/".join(quote(part, safe="") for part in path)}


def project(request: Request, row: Row) -> Shown:
    """A project."""
    return {
        **row["extra"],
        "id": row["id"],
        "name": row["name"],
        "domain_id": row["domain_id"],
        "description": row["description"],
        "enabled": row["enabled"],
        "parent_id": row["parent_id"] or row["domain_id"],
        "is_domain": False,
        "tags": row["tags"],
        "options": row["options"],
        "links": links(request, "projects", row["id"]),
    }


def domain(request: Request, row: Row) -> Shown:
    """A domain."""
    return {
        **row["extra"],
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        "enabled": row["enabled"],
        "tags": row["tags"],
        "options": row["options"],
        "links": links(request, "domains", row["id"]),
    }
