"""How the records of Identity look on the wire."""

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from moorage.api.request import Answer, Request
from moorage.api.views import moment
from moorage.database.transaction import Row
from moorage.identity import catalog
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


def changed(row: Row, shown: Shown) -> Shown:
    """An object as the answer to its change shows it: with its extra attributes once more."""
    return {**shown, "extra": row["extra"]}


def project(request: Request, row: Row) -> Shown:
    """A project."""
    return {
        **row["extra"],
        **_columns(row, "id name domain_id description enabled"),
        "parent_id": row["parent_id"] or row["domain_id"],
        "is_domain": False,
        **_columns(row, "tags options"),
        "links": links(request, "projects", row["id"]),
    }


def domain(request: Request, row: Row) -> Shown:
    """A domain."""
    shown = _columns(row, "id name description enabled tags options")
    return {**row["extra"], **shown, "links": links(request, "domains", row["id"])}


def user(request: Request, row: Row) -> Shown:
    """A user. What nobody said of him is left out."""
    optional = {key: row[key] for key in ("description", "default_project_id") if row[key] is not None}
    return {
        **row["extra"],
        **_columns(row, "id name domain_id enabled"),
        **optional,
        "password_expires_at": None,
        "options": row["options"],
        "links": links(request, "users", row["id"]),
    }


def group(request: Request, row: Row) -> Shown:
    """A group."""
    shown = _columns(row, "id name domain_id description")
    return {**row["extra"], **shown, "links": links(request, "groups", row["id"])}


def role(request: Request, row: Row) -> Shown:
    """A role."""
    return {**bare_role(row), "links": links(request, "roles", row["id"])}


def bare_role(row: Row) -> Shown:
    """A role inside something else."""
    return {"domain_id": None, **_columns(row, "id name description options")}


def region(request: Request, row: Row) -> Shown:
    """A region."""
    shown = _columns(row, "id description parent_region_id")
    return {**shown, "links": links(request, "regions", row["id"])}


def service(request: Request, row: Row) -> Shown:
    """A service."""
    shown = _columns(row, "name id type enabled")
    described = {"description": row["description"]} if row["description"] is not None else {}
    return {**shown, **described, "links": links(request, "services", row["id"])}


def endpoint(request: Request, row: Row) -> Shown:
    """An endpoint."""
    return {
        **_columns(row, "id interface region_id service_id enabled"),
        "region": row["region_id"],
        "url": catalog.located(row, public_url(request)),
        **({"name": row["name"]} if row["name"] is not None else {}),
        "links": links(request, "endpoints", row["id"]),
    }


def application_credential(request: Request, row: Row, roles: Iterable[Row], secret: str | None = None) -> Shown:
    """An application credential; with its secret this once."""
    return {
        **_columns(row, "id name description user_id project_id unrestricted"),
        "system": None,
        "expires_at": moment(row["expires_at"]),
        "roles": [bare_role(one) for one in roles],
        **({"secret": secret} if secret is not None else {}),
        "links": links(request, "users", row["user_id"], "application_credentials", row["id"]),
    }


def _columns(row: Row, names: str) -> Shown:
    return {name: row[name] for name in names.split()}
