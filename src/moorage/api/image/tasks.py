"""Tasks: the imports of an image for its owner, all of them for administrators."""

import re
from collections.abc import Mapping
from typing import Any

from moorage.api.image.fields import check_names, columns_of, properties_of
from moorage.api.image.images import bodiless
from moorage.api.image.queries import links
from moorage.api.image.schemas import CREATE
from moorage.api.request import Answer, Elsewhere, Outcome, Request
from moorage.api.views import moment
from moorage.core.errors import Malformed
from moorage.core.paging import Order, Page
from moorage.flows.images.incoming.asking import Asked, methods_of
from moorage.flows.images.incoming.importing import begin_import
from moorage.images import service
from moorage.images.access import rules
from moorage.images.access.visibility import find
from moorage.images.errors import MethodUnknown, TaskNotFound
from moorage.images.imports import task, tasks
from moorage.images.imports.task import State, Type
from moorage.images.service import New

WEB = "web-download"
SORT_KEYS = {
    "id": "id",
    "type": "type",
    "status": "state",
    "created_at": "created_at",
    "updated_at": "updated_at",
    "expires_at": "expires_at",
}
_FILTERS = {"type": "type", "status": "state"}


@bodiless
def of_image(ask: Request) -> Answer:
    """List the tasks of an image, for its owner."""
    with ask.read() as tx:
        rules.permit(ask.caller, rules.GET)
        image = find(tx, ask.caller, ask.params["id"])
        rows = task.of_image(tx, image["id"]) if ask.caller.sees(image["owner"]) else ()
    return Answer(body={"tasks": [_of_image(row) for row in rows]})


@bodiless
def index(ask: Request) -> Answer:
    """List all tasks, for administrators."""
    rules.permit(ask.caller, rules.TASKS)
    page, equal = _page(ask), _filters(ask)
    with ask.read() as tx:
        rows = tasks.page_of(tx, page, equal)
    found = links("/v2/tasks", ask.query, page, [row["id"] for row in rows])
    return Answer(body={"tasks": [_stub(row) for row in rows], "schema": "/v2/schemas/tasks", **found})


@bodiless
def show(ask: Request) -> Answer:
    """Show one task, to administrators."""
    rules.permit(ask.caller, rules.TASKS)
    with ask.read() as tx:
        return Answer(body=_whole(_found(task.get(tx, ask.params["id"]), tx.now, ask)))


def create(ask: Request) -> Outcome:
    """Make an image of what a URL leads to; for administrators."""
    rules.permit(ask.caller, rules.TASKS)
    if ask.body["type"] != Type.IMPORT:
        raise Malformed(reason=f"A task of type {ask.body['type']} is begun by a call of the image, not by itself.")
    new, asked = _new(ask)
    if WEB not in methods_of(ask.rooms):
        raise MethodUnknown(method=WEB, methods=", ".join(methods_of(ask.rooms)) or "none")
    method, wanted = ask.rooms.methods[WEB], {"name": WEB, "uri": ask.body["input"]["import_from"]}
    return Elsewhere(lambda: method.check(ask.caller, wanted), lambda checked: _begun(ask, new, asked, checked))


def _new(ask: Request) -> tuple[New, Asked]:
    """The image that is asked for, with the formats that its data are said to have."""
    wanted = ask.body["input"]
    said = {"disk_format": wanted["import_from_format"], "container_format": "bare", **wanted["image_properties"]}
    CREATE.check(said)
    check_names(said)
    columns = {name: value for name, value in columns_of(said).items() if name != "owner"}
    new = New(columns=columns, owner=said.get("owner"), properties=properties_of(said), tags=said.get("tags", ()))
    return new, Asked(WEB, {"method": {"name": WEB, "uri": wanted["import_from"]}}, shown=wanted)


def _begun(ask: Request, new: New, asked: Asked, checked: Mapping[str, Any]) -> Answer:
    with ask.write() as tx:
        image = service.create(tx, ask.caller, new, ask.rooms.settings.images)
        id = begin_import(tx, ask.rooms, ask.caller, image.row["id"], asked, checked, Type.IMPORT)
        row = task.get(tx, id)
    assert row is not None
    return Answer(201, _whole(row), {"Location": f"{ask.url}/v2/tasks/{id}"})


def _found(row: Mapping[str, Any] | None, now: int, ask: Request) -> Mapping[str, Any]:
    if row is None or (row["expires_at"] is not None and row["expires_at"] <= now):
        raise TaskNotFound(task=ask.params["id"][:64])
    return row


def _of_image(row: Mapping[str, Any]) -> dict[str, Any]:
    """As it is shown with its image: times to the microsecond, without a zone."""
    times = {name: moment(row[name]) for name in ("expires_at", "created_at", "updated_at")}
    kept = ("id", "type", "owner", "image_id", "request_id", "user_id", "input", "result")
    told = {"status": row["state"], "message": row["message"] or "", "deleted_at": None, "deleted": False}
    return {**{name: row[name] for name in kept}, **times, **told}


def _stub(row: Mapping[str, Any]) -> dict[str, Any]:
    """As it is shown in lists."""
    names = ("expires_at", "created_at", "updated_at")
    times = {name: moment(row[name], "Z", fraction=False) for name in names if row[name] is not None}
    kept = ("id", "type", "owner", "image_id", "request_id", "user_id")
    place = {"self": f"/v2/tasks/{row['id']}", "schema": "/v2/schemas/task"}
    return {**{name: row[name] for name in kept}, "status": row["state"], **times, **place}


def _whole(row: Mapping[str, Any]) -> dict[str, Any]:
    wanted = row["input"]
    return {**_stub(row), "input": wanted, "result": row["result"], "message": row["message"] or ""}


def _page(ask: Request) -> Page:
    settings = ask.rooms.settings.images
    text = ask.asked("limit") or str(settings.page)
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise Malformed(reason="limit is a number, and not negative.")
    key, way = ask.asked("sort_key") or "created_at", ask.asked("sort_dir") or "desc"
    if key not in SORT_KEYS or way not in ("asc", "desc"):
        raise Malformed(reason=f"Tasks are sorted by one of {', '.join(SORT_KEYS)}, asc or desc.")
    order = (Order(SORT_KEYS[key], way == "desc"), Order("id", way == "desc"))
    return Page(min(int(text), settings.largest_page), ask.asked("marker"), order if key != "id" else order[:1])


def _filters(ask: Request) -> dict[str, str]:
    known: dict[str, list[str]] = {"type": [str(one) for one in Type], "status": [str(one) for one in State]}
    for name, value in ask.query:
        if name in known and value not in known[name]:
            raise Malformed(reason=f"Invalid {name} value: {value[:64]}; it is one of {', '.join(known[name])}.")
    asked = {column: ask.asked(name) for name, column in _FILTERS.items()}
    return {column: value for column, value in asked.items() if value is not None}
