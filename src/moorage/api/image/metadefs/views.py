"""Metadata definitions as clients see them. What is unset is left out."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from moorage.api.request import Request
from moorage.api.views import moment

PATH = "/v2/metadefs/namespaces"
SCHEMAS = "/v2/schemas/metadefs"

Row = Mapping[str, Any]


def _times(row: Row) -> dict[str, Any]:
    return {name: moment(row[name], "Z", fraction=False) for name in ("created_at", "updated_at")}


def _set(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def namespace(row: Row, associations: Sequence[Row] = ()) -> dict[str, Any]:
    """A namespace and what its definitions are for."""
    names = "namespace display_name description visibility protected owner".split()
    shown = _set(**{name: row[name] for name in names}) | _times(row)
    if associations:
        shown["resource_type_associations"] = [association(one) for one in associations]
    return shown | {"self": f"{PATH}/{row['namespace']}", "schema": f"{SCHEMAS}/namespace"}


def place(ask: Request, shown: Mapping[str, Any]) -> dict[str, str]:
    """The header that says where what was made is; names may have any characters, headers may not."""
    return {"Location": ask.url + quote(shown["self"], safe="/:~!$&'()*+,;=@")}


def association(row: Row) -> dict[str, Any]:
    """What definitions are for, and how their names begin there."""
    return _set(name=row["name"], prefix=row["prefix"], properties_target=row["properties_target"]) | _times(row)


def resource_type(row: Row) -> dict[str, Any]:
    """A kind of resource."""
    return {"name": row["id"], "created_at": moment(row["created_at"], "Z", fraction=False)}


def property(row: Row, prefix: str = "") -> dict[str, Any]:
    """The definition of a property; its default is told as text."""
    body = dict(row["body"])
    if body.get("default") is not None and not isinstance(body["default"], str | list | dict):
        body["default"] = str(body["default"])
    return {"name": prefix + row["name"], **body}


def object(row: Row, namespace: str, prefix: str = "", *, whole: bool = True) -> dict[str, Any]:
    """Properties that belong together; `whole` with what was left unsaid of them."""
    body = dict(row["body"])
    if whole:
        body = {"required": [], "properties": {}, **body}
    if prefix:
        body["required"] = [prefix + name for name in body.get("required", ())]
        body["properties"] = {prefix + name: one for name, one in body.get("properties", {}).items()}
    links = {"self": f"{PATH}/{namespace}/objects/{row['name']}", "schema": f"{SCHEMAS}/object"}
    return {"name": row["name"], **body, **_times(row), **links}


def tag(row: Row) -> dict[str, Any]:
    """A word that is offered as a tag."""
    return {"name": row["name"], **_times(row)}
