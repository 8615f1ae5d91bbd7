"""Volume types, their extra specs, who sees them, and the default ones."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, or_, select

from moorage.api.block_storage import lists, policy, views
from moorage.api.block_storage.lists import Listing
from moorage.api.block_storage.versions import V
from moorage.api.request import Answer, Request, boolean
from moorage.core.caller import Rule
from moorage.core.errors import Malformed
from moorage.core.paging import Page
from moorage.database import Transaction
from moorage.database.paging import paged
from moorage.volumes import volume_type
from moorage.volumes.errors import DefaultTypeNotFound, SpecNotFound, TypeNotFound
from moorage.volumes.records import type_access, volume_types

c = volume_types.c

LISTING = Listing(
    table=volume_types,
    sorts={"id": "id", "name": "name", "created_at": "created_at", "updated_at": "updated_at"},
    filters={"name": lists.equals(c.name)},
)


def index(request: Request) -> Answer:
    """The types that the caller may see."""
    request.caller.must(policy.TYPE_GET)
    page, where = lists.page(request, LISTING), _visible(request)
    name = request.asked("name")
    if name is not None:
        where.append(lists.equals(c.name)(name))
    if request.asked("extra_specs") is not None and request.version >= V.TYPE_FILTERS:
        where.append(lists.has(c.extra_specs)(request.asked("extra_specs") or ""))
    with request.read() as tx:
        rows = _page(tx, request, page, where)
    body: dict[str, Any] = {"volume_types": [views.volume_type(request, row) for row in rows]}
    more = lists.next_link(request, "types", rows, page)
    if more is not None:
        body["volume_type_links"] = more
    return Answer(200, body)


def _page(tx: Transaction, request: Request, page: Page, where: list[ColumnElement[bool]]) -> list[Mapping[str, Any]]:
    marker = None
    if page.marker is not None:
        marker = volume_type.visible(tx, request.caller, page.marker.replace("\0", ""))
    return list(tx.all(paged(select(volume_types).where(*where), volume_types, page, marker))) if page.limit else []


def _visible(request: Request) -> list[ColumnElement[bool]]:
    """Public types, and private ones of the project; administrators choose."""
    asked = request.asked("is_public")
    if request.caller.is_admin:
        if asked is None:
            return [c.is_public.is_(True)]
        return [] if asked.lower() == "none" else [c.is_public.is_(boolean(asked, "is_public"))]
    granted = select(type_access.c.type_id).where(type_access.c.project_id == request.caller.project_id)
    return [or_(c.is_public.is_(True), c.id.in_(granted))]


def show(request: Request) -> Answer:
    """One type, by its id."""
    request.caller.must(policy.TYPE_GET)
    with request.read() as tx:
        return _answer(request, volume_type.visible(tx, request.caller, request.params["id"]))


def show_default(request: Request) -> Answer:
    """The type of volumes that name none."""
    request.caller.must(policy.TYPE_GET)
    settings = request.rooms.settings.volumes
    with request.read() as tx:
        return _answer(request, volume_type.default(tx, request.caller.project_id, settings.default_type), ACCESS)


ACCESS, QOS = "os-volume-type-access:is_public", "qos_specs_id"


def _answer(request: Request, row: Mapping[str, Any], *less: str) -> Answer:
    """The type, less the fields that the real service leaves out of this call's answer."""
    shown = views.volume_type(request, row)
    return Answer(200, {"volume_type": {name: shown[name] for name in shown if name not in less}})


def create(request: Request) -> Answer:
    """There is a new type."""
    request.caller.must(policy.TYPE_CREATE)
    asked = request.body["volume_type"]
    public = boolean(asked.get("os-volume-type-access:is_public", True), "is_public")
    specs = {key: value or "" for key, value in (asked.get("extra_specs") or {}).items()}
    with request.write() as tx:
        description = asked.get("description")
        return _answer(request, volume_type.create(tx, asked["name"].strip(), description, public, specs), QOS)


def update(request: Request) -> Answer:
    """The type has another name or description, or is public or not."""
    asked = request.body["volume_type"]
    values = {name: asked[name] for name in ("name", "description") if name in asked}
    if "is_public" in asked:
        values["is_public"] = boolean(asked["is_public"], "is_public")
    if "name" in values:
        values["name"] = (values["name"] or "").strip()
        if not values["name"]:
            if values.keys() == {"name"}:
                raise Malformed(reason="Volume type name can not be empty.")
            del values["name"]
    if not values:
        raise Malformed(reason="Specify volume type name, description, is_public or a combination thereof.")
    with request.write() as tx:
        return _answer(request, volume_type.change(tx, _locked(tx, request, policy.TYPE_UPDATE), values), QOS, ACCESS)


def delete(request: Request) -> Answer:
    """The type is gone."""
    with request.write() as tx:
        row = _locked(tx, request, policy.TYPE_DELETE)
        volume_type.remove(tx, row, request.rooms.settings.volumes.default_type)
    return Answer(202)


def _locked(tx: Transaction, request: Request, rule: Rule) -> Mapping[str, Any]:
    request.caller.must(rule)
    return volume_type.locked(tx, request.params["id"])


def specs(request: Request) -> Answer:
    """The extra specs of a type that the caller may see."""
    return Answer(200, {"extra_specs": _specs(request)})


def spec(request: Request) -> Answer:
    """One extra spec."""
    key, known = request.params["key"], _specs(request)
    if key not in known:
        raise SpecNotFound(type=request.params["id"], key=key[:255])
    return Answer(200, {key: known[key]})


def _specs(request: Request) -> dict[str, Any]:
    request.caller.must(policy.SPECS_READ)
    with request.read() as tx:
        row = volume_type.visible(tx, request.caller, request.params["id"])
        shown: dict[str, Any] = views.volume_type(request, row)["extra_specs"]
        return shown


def set_specs(request: Request) -> Answer:
    """The type has these extra specs, too."""
    given = {key: value or "" for key, value in request.body["extra_specs"].items()}
    with request.write() as tx:
        row = _locked(tx, request, policy.SPECS_WRITE)
        volume_type.change(tx, row, {"extra_specs": {**row["extra_specs"], **given}})
    return Answer(200, {"extra_specs": given})


def set_spec(request: Request) -> Answer:
    """The type has this extra spec, too."""
    if request.params["key"] not in request.body:
        raise Malformed(reason="Request body and URI mismatch")
    given = {key: value or "" for key, value in request.body.items()}
    with request.write() as tx:
        row = _locked(tx, request, policy.SPECS_WRITE)
        volume_type.change(tx, row, {"extra_specs": {**row["extra_specs"], **given}})
    return Answer(200, given)


def delete_spec(request: Request) -> Answer:
    """The type has no extra spec of this key."""
    key = request.params["key"]
    with request.write() as tx:
        row = _locked(tx, request, policy.SPECS_WRITE)
        if key not in row["extra_specs"]:
            raise SpecNotFound(type=row["id"], key=key[:255])
        left = {name: value for name, value in row["extra_specs"].items() if name != key}
        volume_type.change(tx, row, {"extra_specs": left})
    return Answer(202)


def access(request: Request) -> Answer:
    """The projects that see a private type."""
    request.caller.must(policy.TYPE_ACCESS)
    with request.read() as tx:
        row = volume_type.visible(tx, request.caller, request.params["id"])
        if row["is_public"]:
            raise TypeNotFound(id=row["id"])
        projects = volume_type.projects_of(tx, row["id"])
    return Answer(200, {"volume_type_access": [{"volume_type_id": row["id"], "project_id": p} for p in projects]})


def add_access(request: Request) -> Answer:
    """The project sees the private type."""
    with request.write() as tx:
        row = _locked(tx, request, policy.TYPE_ACCESS_ADD)
        volume_type.grant(tx, row, request.body["addProjectAccess"]["project"][:64])
    return Answer(202)


def remove_access(request: Request) -> Answer:
    """The project sees the private type no more."""
    with request.write() as tx:
        row = _locked(tx, request, policy.TYPE_ACCESS_REMOVE)
        volume_type.deny(tx, row, request.body["removeProjectAccess"]["project"][:64])
    return Answer(202)


def encryption(request: Request) -> Answer:
    """How volumes of the type are encrypted: not at all."""
    request.caller.must(policy.TYPE_ENCRYPTION)
    with request.read() as tx:
        volume_type.visible(tx, request.caller, request.params["id"])
    return Answer(200, {})


def default_types(request: Request) -> Answer:
    """Which projects have chosen which default type."""
    request.caller.must(policy.DEFAULT_TYPE_READ)
    with request.read() as tx:
        return Answer(200, {"default_types": [_chosen(row) for row in volume_type.defaults(tx)]})


def default_type(request: Request) -> Answer:
    """The default type that the project has chosen."""
    request.caller.must(policy.DEFAULT_TYPE_READ)
    project = request.params["project"]
    with request.read() as tx:
        rows = volume_type.defaults(tx, project)
    if not rows:
        raise DefaultTypeNotFound(project=project[:64])
    return Answer(200, {"default_type": _chosen(rows[0])})


def set_default_type(request: Request) -> Answer:
    """Volumes of the project that name no type have this one."""
    request.caller.must(policy.DEFAULT_TYPE_WRITE)
    project = request.params["project"][:64]
    with request.write() as tx:
        found = volume_type.named(tx, request.caller, request.body["default_type"]["volume_type"])
        row = volume_type.locked(tx, found["id"])
        volume_type.choose_default(tx, project, row)
    return Answer(200, {"default_type": {"project_id": project, "volume_type_id": row["id"]}})


def unset_default_type(request: Request) -> Answer:
    """Volumes of the project that name no type have the configured one."""
    request.caller.must(policy.DEFAULT_TYPE_WRITE)
    with request.write() as tx:
        volume_type.forget_default(tx, request.params["project"])
    return Answer(204)


def _chosen(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"project_id": row["project_id"], "volume_type_id": row["type_id"]}
