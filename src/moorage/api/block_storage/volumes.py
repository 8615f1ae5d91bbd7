"""Volumes: create, list, show, update, delete, and the summary."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select

from moorage.api.block_storage import lists, policy, views
from moorage.api.block_storage.lists import Listing
from moorage.api.block_storage.making import made
from moorage.api.block_storage.versions import V
from moorage.api.certified import certified
from moorage.api.request import Answer, Outcome, Request
from moorage.api.views import View
from moorage.core.errors import Malformed
from moorage.database import Transaction
from moorage.flows.images.locations.hash_image import proving
from moorage.images.signatures.certificates import Certificates
from moorage.volumes import custody, volume
from moorage.volumes.errors import VolumeNotFound
from moorage.volumes.records import volumes

c = volumes.c

# fmt: off
LISTING = Listing(
    table=volumes,
    sorts={
        "id": "id", "status": "status", "size": "size_gib", "name": "name", "display_name": "name",
        "bootable": "bootable",
        "availability_zone": "availability_zone", "created_at": "created_at", "updated_at": "updated_at",
        "host": "host",
        "project_id": "project_id", "user_id": "user_id", "volume_type_id": "type_id",
    },
    filters={
        "name": lists.equals(c.name),
        "display_name": lists.equals(c.name),
        "status": lists.equals(c.status),
        "metadata": lists.has(c["metadata"]),
        "glance_metadata": lists.has(c.image_metadata),
        "bootable": lists.truth(c.bootable, "bootable"),
        "migration_status": lists.equals(c.migration_status),
        "availability_zone": lists.equals(c.availability_zone),
        "group_id": lists.nothing,
        "size": lists.whole(c.size_gib),
        "created_at": lists.times(c.created_at),
        "updated_at": lists.times(c.updated_at),
        "consumes_quota": lists.truth(c.consumes_quota, "consumes_quota"),
    },
    admin_filters={
        "id": lists.equals(c.id),
        "host": lists.equals(c.host + "@" + c.backend + "#" + c.backend),
        "project_id": lists.equals(c.project_id),
        "tenant_id": lists.equals(c.project_id),
        "user_id": lists.equals(c.user_id),
        "volume_type_id": lists.equals(c.type_id),
        "snapshot_id": lists.equals(c.snapshot_id),
        "source_volid": lists.equals(c.source_volid),
        "multiattach": lists.truth(c.multiattach, "multiattach"),
        "description": lists.equals(c.description),
        "display_description": lists.equals(c.description),
    },
    like={
        "name": "name", "display_name": "name", "description": "description", "status": "status",
        "availability_zone": "availability_zone",
    },
)
# fmt: on


def create(request: Request) -> Outcome:
    """A volume is being made: blank, of an image or of another volume."""
    request.caller.must(policy.VOLUME_CREATE)
    return certified(request, lambda certificates: _create(request, certificates))


def _create(request: Request, certificates: Certificates | None) -> Answer:
    with proving(request.rooms), request.write() as tx:
        row = made(tx, request, certificates)
        return Answer(202, {"volume": views.volume(request, tx, row, views.VOLUME)})


def index(request: Request) -> Answer:
    """The project's volumes, by id and name."""
    return _list(request, views.VOLUME_SUMMARY, "volumes")


def detail(request: Request) -> Answer:
    """The project's volumes in detail."""
    return _list(request, views.VOLUME_DETAIL, "volumes/detail")


def _list(request: Request, view: View, path: str) -> Answer:
    request.caller.must(policy.VOLUME_LIST)
    page, where = lists.page(request, LISTING), lists.conditions(request, LISTING)
    with request.read() as tx:
        rows = lists.rows(tx, request, volumes, page, where, _marker(tx, request, page.marker))
        body: dict[str, Any] = {"volumes": views.volumes(request, tx, rows, view)}
        if request.version >= V.WITH_COUNT and request.asked_flag("with_count"):
            own = [] if lists.everybody(request) else [c.project_id == request.caller.project_id]
            body["count"] = tx.value(select(func.count()).select_from(volumes).where(*where, *own))
    more = lists.next_link(request, path, rows, page)
    if more is not None:
        body["volumes_links"] = more
    return Answer(200, body)


def _marker(tx: Transaction, request: Request, id: str | None) -> Mapping[str, Any] | None:
    if id is None:
        return None
    if "\0" in id:
        raise VolumeNotFound(id="?")
    return volume.find(tx, request.caller, id)


def summary(request: Request) -> Answer:
    """How many volumes the project has, how large they are together, and the metadata they have."""
    request.caller.must(policy.VOLUME_LIST)
    where = [] if lists.everybody(request) else [c.project_id == request.caller.project_id]
    with request.read() as tx:
        total = tx.one(select(func.count().label("n"), func.sum(c.size_gib).label("gib")).where(*where))
        found: dict[str, set[str]] = {}
        if request.version >= V.SUMMARY_METADATA:
            for row in tx.all(select(c["metadata"]).where(*where)):
                for key, value in row["metadata"].items():
                    found.setdefault(key, set()).add(value)
    assert total is not None
    body: dict[str, Any] = {"total_count": total["n"], "total_size": int(total["gib"] or 0)}
    if request.version >= V.SUMMARY_METADATA:
        body["metadata"] = {key: sorted(values) for key, values in sorted(found.items())}
    return Answer(200, {"volume-summary": body})


def show(request: Request) -> Answer:
    """One volume."""
    with request.read() as tx:
        row = volume.find(tx, request.caller, request.params["id"])
        request.caller.must(policy.VOLUME_GET, row["project_id"])
        return Answer(200, {"volume": views.volume(request, tx, row)})


def update(request: Request) -> Answer:
    """The volume has another name, description or metadata."""
    asked = request.body["volume"]
    values = {}
    for name in ("name", "description"):
        given = [asked[key] for key in (f"display_{name}", name) if key in asked]
        if given:
            values[name] = given[-1].strip() if given[-1] is not None else None
    if "metadata" in asked and asked["metadata"] is not None:
        values["metadata"] = asked["metadata"]
    with request.write() as tx:
        row = volume.locked(tx, request.caller, request.params["id"])
        request.caller.must(policy.VOLUME_UPDATE, row["project_id"])
        custody.permit(request.caller, row)
        if row["status"] == "maintenance":
            raise Malformed(reason="Invalid volume: Updating volume is not allowed for volumes in maintenance mode.")
        row = volume.change(tx, row, values)
        return Answer(200, {"volume": views.volume(request, tx, row, views.VOLUME)})


def delete(request: Request) -> Answer:
    """The volume is being deleted."""
    force = request.version >= V.DELETE_FORCE and request.asked_flag("force")
    request.asked_flag("cascade")
    with request.write() as tx:
        id = request.params["id"]
        row = volume.find(tx, request.caller, id)
        request.caller.must(policy.VOLUME_FORCE_DELETE if force else policy.VOLUME_DELETE, row["project_id"])
        if force:
            volume.cancel_all(tx, id)
        volume.delete(tx, request.caller, volume.locked(tx, request.caller, id), force=force)
    return Answer(202)


def encryption(request: Request) -> Answer:
    """How the volume is encrypted: not at all."""
    with request.read() as tx:
        row = volume.find(tx, request.caller, request.params["id"])
        request.caller.must(policy.VOLUME_ENCRYPTION, row["project_id"])
    return Answer(200, {})


def encryption_key(request: Request) -> Answer:
    """One key of how the volume is encrypted."""
    encryption(request)
    return Answer(200, content=b"", content_type="text/plain")
