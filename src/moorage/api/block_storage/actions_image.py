"""A volume becomes an image: `os-volume_upload_image`."""

from collections.abc import Mapping
from typing import Any

from moorage.api.block_storage import keys, policy, views
from moorage.api.block_storage.versions import V
from moorage.api.request import Answer, Later, Request, boolean
from moorage.api.views import moment
from moorage.core.errors import Malformed
from moorage.database import Transaction
from moorage.flows.images.of_volumes import clone_volume, copy_volume, from_volume, volume_upload
from moorage.flows.images.of_volumes.volume_upload import Asked
from moorage.images import service
from moorage.images.image import Visibility
from moorage.images.service import Image
from moorage.volumes import quota, volume, volume_type

KINDS = frozenset({clone_volume.KIND, copy_volume.KIND, from_volume.KIND})


def upload_image(request: Request) -> Answer | Later:
    """The volume becomes an image: at once where its store can show the volume's bytes, else by a copy."""
    asked = _asked(request)
    with request.write() as tx:
        row = volume.find(tx, request.caller, request.params["id"])
        request.caller.must(policy.UPLOAD_IMAGE, row["project_id"])
        if keys.asked(request) is not None:
            quota.lock(tx, row["project_id"])  # of two calls with one key one comes first
        first = keys.earlier(tx, request, row["project_id"], KINDS)
        if first is not None:
            image = service.show(tx, request.caller, first["input"]["image"])
            return _shown(request, tx, row, image, asked)
        begun = volume_upload.begin(tx, request.rooms, request.caller, row, asked, keys.asked(request))
        answer = _shown(request, tx, row, begun.image, asked)
    return Later(begun.operation, lambda request: answer) if begun.short else answer


def _asked(request: Request) -> Asked:
    body = request.body["os-volume_upload_image"]
    force = boolean(body.get("force", False), "force")
    visibility: str | None = None
    protected: bool | None = None
    if request.version >= V.UPLOAD_VISIBILITY:
        visibility, protected = body.get("visibility", "private"), boolean(body.get("protected", False), "protected")
        if visibility not in list(Visibility):
            raise Malformed(reason=f"Invalid input for field/attribute visibility. Value: {visibility}.")
        if visibility == Visibility.PUBLIC:
            request.caller.must(policy.UPLOAD_PUBLIC)
    return Asked(
        name=body["image_name"],
        disk_format=body.get("disk_format") or "raw",
        container_format=body.get("container_format") or "bare",
        force=force,
        store=request.headers.get("moorage-store") or None,
        visibility=visibility,
        protected=protected,
    )


def _shown(request: Request, tx: Transaction, row: Mapping[str, Any], image: Image, asked: Asked) -> Answer:
    kind = views.volume_type(request, volume_type.by_id(tx, row["type_id"]))
    shown = {
        "id": row["id"],
        "updated_at": moment(row["updated_at"]),
        "status": "uploading",
        "display_description": row["description"],
        "size": row["size_gib"],
        "volume_type": kind,
        "image_id": image.row["id"],
        "container_format": image.row["container_format"],
        "disk_format": image.row["disk_format"],
        "image_name": image.row["name"],
    }
    if request.version >= V.UPLOAD_VISIBILITY:
        shown |= {"visibility": image.row["visibility"], "protected": bool(image.row["protected"])}
    return Answer(202, {"os-volume_upload_image": shown})
