"""Images and their members as clients see them. Links are paths below the service, without our own prefix."""

from collections.abc import Mapping
from typing import Any

from moorage.api.image.places import fields
from moorage.api.request import Request
from moorage.api.views import Constant, Field, View, moment
from moorage.flows.images.stores import by_weight
from moorage.images.access.protections import readable
from moorage.images.image import State
from moorage.images.imports.task import Progress
from moorage.images.service import Image

# fmt: off
IMAGE = View(
    #     on the wire         in the record
    Field("id",               "id"),
    Field("name",             "name"),
    Field("status",           "state"),
    Field("visibility",       "visibility"),
    Field("protected",        "protected"),
    Field("os_hidden",        "hidden"),
    Field("owner",            "owner"),
    Field("disk_format",      "disk_format"),
    Field("container_format", "container_format"),
    Field("min_disk",         "min_disk_gib"),
    Field("min_ram",          "min_ram_mib"),
    Field("size",             "size"),
    Field("virtual_size",     "virtual_size"),
    Field("checksum",         "checksum"),
    Field("os_hash_algo",     "os_hash_algo"),
    Field("os_hash_value",    "os_hash_value"),
    Field("created_at",       lambda r: moment(r["created_at"], "Z", fraction=False)),
    Field("updated_at",       lambda r: moment(r["updated_at"], "Z", fraction=False)),
    Field("self",             lambda r: f"/v2/images/{r['id']}"),
    Field("file",             lambda r: f"/v2/images/{r['id']}/file"),
    Field("schema",           Constant("/v2/schemas/image")),
)

MEMBER = View(
    Field("member_id",        "project_id"),
    Field("image_id",         "image_id"),
    Field("status",           "acceptance"),
    Field("created_at",       lambda r: moment(r["created_at"], "Z", fraction=False)),
    Field("updated_at",       lambda r: moment(r["updated_at"], "Z", fraction=False)),
    Field("schema",           Constant("/v2/schemas/member")),
)
# fmt: on


def shown(ask: Request, image: Image) -> dict[str, Any]:
    """An image with its properties, its tags and the stores that hold it."""
    properties = readable(ask.rooms.settings.images.property_protections, ask.caller, image.properties)
    body = {**properties, **IMAGE(image.row, ask.version, ask.caller), "tags": list(image.tags)}
    if image.stores and (ask.caller.is_admin or image.row["state"] != State.DEACTIVATED):
        body["stores"] = ",".join(by_weight(ask.rooms, image.stores))
    body |= fields(ask, image.row, image.places)
    if image.progress is not None:
        body |= _progress(image.progress)
    return body


def _progress(progress: Progress) -> dict[str, str]:
    """How far the last import is, under the keys that clients poll; they stay when it is over."""
    keys = {
        "os_glance_importing_to_stores": ",".join(progress.waiting if progress.open else ()),
        "os_glance_failed_import": ",".join(progress.failed),
    }
    return {**keys, "os_glance_import_task": progress.open} if progress.open else keys


def member(ask: Request, row: Mapping[str, Any]) -> dict[str, Any]:
    """One project that an image is shared with."""
    return MEMBER(row, ask.version, ask.caller)
