"""What can be done to a volume: `POST /volumes/{id}/action`."""

from collections.abc import Mapping
from typing import Any

from moorage.api.block_storage import making, policy
from moorage.api.block_storage.making import whole
from moorage.api.request import Answer, Later, Request, boolean
from moorage.core.caller import Rule
from moorage.core.errors import Malformed
from moorage.database import Transaction
from moorage.volumes import custody, override, volume, volume_type
from moorage.volumes import retype as retypes
from moorage.volumes.errors import ImageMetadataNotFound, InvalidVolume


def locked(tx: Transaction, request: Request, rule: Rule, *, with_quota: bool = False) -> Mapping[str, Any]:
    row = volume.find(tx, request.caller, request.params["id"])
    request.caller.must(rule, row["project_id"])
    custody.permit(request.caller, row)
    return volume.locked(tx, request.caller, row["id"], with_quota=with_quota)


def extend(request: Request) -> Answer:
    """The volume is being made larger."""
    size = whole(request.body["os-extend"]["new_size"], "new_size")
    with request.write() as tx:
        row = locked(tx, request, policy.VOLUME_EXTEND, with_quota=True)
        volume.extend(tx, request.caller, row, size, request.rooms.settings.volumes.quota_defaults())
    return Answer(202)


def retype(request: Request) -> Answer:
    """The volume has the type that is asked for. Where its bytes would have to be moved it is refused."""
    asked = request.body["os-retype"]
    with request.write() as tx:
        row = locked(tx, request, policy.VOLUME_RETYPE, with_quota=True)
        to = volume_type.named(tx, request.caller, asked["new_type"])
        name = making.backend(request, to)
        held = request.rooms.backends.get(name)
        target = retypes.Target(to, name, held.traits if held is not None else None)
        retypes.retype(tx, row, target, request.rooms.settings.volumes.quota_defaults())
    return Answer(202)


def readonly(request: Request) -> Answer:
    """New attachments of the volume are read-only, or as they ask."""
    flag = boolean(request.body["os-update_readonly_flag"]["readonly"], "readonly")
    with request.write() as tx:
        row = locked(tx, request, policy.VOLUME_READONLY)
        if row["status"] != "available":
            raise InvalidVolume(
                reason=f"Volume {row['id']} status must be available to update readonly flag, but current status is: "
                f"{row['status']}.",
                blockers=volume.blockers(tx, row),
            )
        volume.change(tx, row, {"readonly": flag})
    return Answer(202)


def bootable(request: Request) -> Answer:
    """The volume is bootable, or not."""
    flag = boolean(request.body["os-set_bootable"]["bootable"], "bootable")
    with request.write() as tx:
        volume.change(tx, locked(tx, request, policy.VOLUME_BOOTABLE), {"bootable": flag})
    return Answer(200)


def reset_status(request: Request) -> Answer | Later:
    """
    The volume has the status that the administrator says, what is attached fenced first where that contradicts it.
    """
    asked = request.body["os-reset_status"]
    for name, known in (
        ("status", {*override.STATUSES, *override.REFUSED, "error_deleting"}),
        ("attach_status", set(override.ATTACH_STATUSES)),
        ("migration_status", set(override.MIGRATION_STATUSES)),
    ):
        if asked.get(name) is not None:
            asked[name] = asked[name].lower()
            if asked[name] not in known:
                raise Malformed(
                    reason=f"Invalid input for field/attribute {name}. Value: {asked[name]}. It is not known."
                )
    if not any(asked.get(name) is not None for name in ("status", "attach_status", "migration_status")):
        raise Malformed(reason="Must specify 'status', 'attach_status' or 'migration_status' for update.")
    with request.write() as tx:
        row = locked(tx, request, policy.RESET_STATUS)
        given = (asked.get("status"), asked.get("attach_status"), asked.get("migration_status"))
        operation = override.reset(tx, request.caller, row, *given)
    return Later(operation, lambda request: Answer(202)) if operation else Answer(202)


def force_delete(request: Request) -> Answer:
    """The volume is being deleted, whatever its status says."""
    with request.write() as tx:
        row = volume.find(tx, request.caller, request.params["id"])
        request.caller.must(policy.FORCE_DELETE, row["project_id"])
        volume.cancel_all(tx, row["id"])
        volume.delete(tx, request.caller, volume.locked(tx, request.caller, row["id"]), force=True)
    return Answer(202)


def set_image_metadata(request: Request) -> Answer:
    """The volume's image metadata has these pairs, too."""
    pairs = request.body["os-set_image_metadata"]["metadata"]
    with request.write() as tx:
        row = locked(tx, request, policy.IMAGE_METADATA_SET)
        _may_change(tx, row)
        known = {**(row["image_metadata"] or {}), **pairs}
        volume.change(tx, row, {"image_metadata": known or None})
    return Answer(200, {"metadata": known})


def unset_image_metadata(request: Request) -> Answer:
    """The volume's image metadata has this key no more."""
    key = request.body["os-unset_image_metadata"]["key"]
    with request.write() as tx:
        row = locked(tx, request, policy.IMAGE_METADATA_REMOVE)
        _may_change(tx, row)
        known = dict(row["image_metadata"] or {})
        if key not in known:
            raise ImageMetadataNotFound(id=row["id"])
        del known[key]
        volume.change(tx, row, {"image_metadata": known or None})
    return Answer(200)


def show_image_metadata(request: Request) -> Answer:
    """The volume's image metadata."""
    with request.read() as tx:
        row = volume.find(tx, request.caller, request.params["id"])
        request.caller.must(policy.IMAGE_METADATA_SHOW, row["project_id"])
    if not row["image_metadata"]:
        raise ImageMetadataNotFound(id=row["id"])
    return Answer(200, {"metadata": row["image_metadata"]})


def _may_change(tx: Transaction, row: Mapping[str, Any]) -> None:
    if row["status"] in ("maintenance", "uploading"):
        raise InvalidVolume(
            reason=f"Metadata of a volume cannot be changed while it is {row['status']}.",
            blockers=volume.blockers(tx, row),
        )
