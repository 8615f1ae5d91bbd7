"""What is asked of a new volume, made out of a request: its source, size, type and place."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from moorage.api.block_storage import keys, policy
from moorage.api.request import Request, boolean
from moorage.core.errors import Malformed
from moorage.core.ids import is_uuid
from moorage.database import Transaction
from moorage.flows.images.stores import beside, far, in_our_volumes
from moorage.flows.volumes import volume_from_image, volume_from_volume
from moorage.images.outgoing import Usable
from moorage.images.signatures.certificates import Certificates
from moorage.volumes import custody, quota, services, volume, volume_type
from moorage.volumes.errors import InvalidInput, NotMadeYet
from moorage.volumes.volume import New, Rules

MADE_BY = frozenset(
    "create-volume volume-from-conversion volume-from-copy volume-from-download volume-from-image "
    "volume-from-image-volume volume-from-volume".split()
)
_SOURCES = ("snapshot_id", "source_volid", "imageRef", "backup_id")


def made(tx: Transaction, request: Request, certificates: Certificates | None) -> Mapping[str, Any]:
    """The row of the volume that the request asks for, its operation begun."""
    asked, key = _asked(request.body["volume"]), keys.asked(request)
    project = request.caller.project_id
    if project is None:
        raise Malformed(reason="A volume belongs to a project: a token with a project is needed.")
    quota.lock(tx, project)
    first = keys.earlier(tx, request, project, MADE_BY)
    if first is not None:
        return volume.find(tx, request.caller, first["resource_id"])
    if asked["imageRef"] is not None:
        source = volume_from_image.Source(
            image_id(asked["imageRef"]),
            partial(beside, request.rooms),
            in_our_volumes(request.rooms),
            far(request.rooms),
            request.rooms.settings.images.property_protections,
            certificates,
        )
        return volume_from_image.begin(
            tx, request.caller, source, lambda image: _new(tx, request, asked, image=image), rules(request), key
        )
    if asked["source_volid"] is not None:
        row = volume.locked(tx, request.caller, asked["source_volid"])
        custody.permit(request.caller, row)
        new = _new(tx, request, asked, source=row)
        return volume_from_volume.begin(tx, request.caller, row, new, rules(request, row["backend"]), key)
    return volume.create(tx, request.caller, _new(tx, request, asked), rules(request), key)


def _asked(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body with each field under its one name, and what cannot be refused."""
    asked = {name: body.get(name) for name in (*_SOURCES, "volume_type", "availability_zone", "metadata", "size")}
    asked["imageRef"] = body.get("imageRef") or body.get("image_id") or None
    for name in ("name", "description"):
        given = body.get(name) if body.get(name) is not None else body.get(f"display_{name}")
        asked[name] = given.strip() if given is not None else None
    sources = [name for name in _SOURCES if asked[name] is not None]
    if len(sources) > 1:
        raise Malformed(reason=f"A volume has one source; given: {', '.join(sources)}.")
    for name, kind in (("snapshot_id", "Snapshot"), ("backup_id", "Backup")):
        if asked[name] is not None:
            raise NotMadeYet(kind=kind, id=asked[name])
    if body.get("group_id") is not None:
        raise NotMadeYet(kind="Group", id=body["group_id"])
    if body.get("multiattach") is not None and boolean(body["multiattach"], "multiattach"):
        raise Malformed(
            reason="multiattach parameter has been removed. The default behavior is to use multiattach enabled "
            "volume types. Contact your administrator to create a multiattach enabled volume type and use it to create "
            "multiattach volumes."
        )
    return asked


def _new(
    tx: Transaction,
    request: Request,
    asked: Mapping[str, Any],
    *,
    image: Usable | None = None,
    source: Mapping[str, Any] | None = None,
) -> New:
    settings = request.rooms.settings.volumes
    zone = asked["availability_zone"] or settings.availability_zone
    if zone != settings.availability_zone:
        raise InvalidInput(reason=f"Availability zone '{zone}' is invalid.")
    named = asked["volume_type"] or (image.properties.get("cinder_img_volume_type") if image else None)
    type_row = _type(tx, request, named, source)
    kept_in = source["backend"] if source else backend(request, type_row)
    host = source["host"] if source else request.rooms.host
    services.check_place(tx, host, kept_in)
    if volume_type.is_true(type_row["extra_specs"].get(volume_type.MULTIATTACH)):
        request.caller.must(policy.MULTIATTACH, request.caller.project_id)
    return New(
        size_gib=_size(asked["size"], source),
        type=type_row,
        backend=kept_in,
        host=host,
        availability_zone=zone,
        name=asked["name"],
        description=asked["description"],
        cache=volume_type.write_cache(type_row["extra_specs"]) or (source["cache"] if source else settings.cache),
        metadata=asked["metadata"] or {},
        source_volid=source["id"] if source else None,
        image_id=source["image_id"] if source else None,
        image_metadata=source["image_metadata"] if source else None,
        bootable=bool(source["bootable"]) if source else False,
    )


def _type(tx: Transaction, request: Request, named: str | None, source: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if named:
        return volume_type.named(tx, request.caller, named)
    if source is not None:
        return volume_type.by_id(tx, source["type_id"])
    return volume_type.default(tx, request.caller.project_id, request.rooms.settings.volumes.default_type)


def _size(asked: Any, source: Mapping[str, Any] | None) -> int:
    if asked is None and source is None:
        raise InvalidInput(reason="Volume size must be given: an integer greater than 0.")
    size = whole(asked if asked is not None else source["size_gib"], "size")  # type: ignore[index]
    if source is not None and size < source["size_gib"]:
        raise InvalidInput(
            reason=f"Volume size '{size}'GB cannot be smaller than original volume size  {source['size_gib']}GB. "
            "They must be >= original volume size."
        )
    return size


def whole(value: Any, name: str) -> int:
    """A size in GiB, which may come as text."""
    number = int(value)
    if not 1 <= number <= volume.LARGEST_GIB:
        raise Malformed(
            reason=f"Invalid input for field/attribute {name}. Value: {value}. It must be 1 to {volume.LARGEST_GIB}."
        )
    return number


def backend(request: Request, type_row: Mapping[str, Any]) -> str:
    """The backend that volumes of the type are kept in."""
    names = [one.name for one in request.rooms.settings.backends]
    wanted = type_row["extra_specs"].get("volume_backend_name")
    if wanted is not None:
        if wanted not in names:
            raise InvalidInput(reason=f"No backend is called {wanted}, as the volume type asks for.")
        return str(wanted)
    return str(request.rooms.settings.volumes.default_backend or names[0])


def rules(request: Request, backend_name: str | None = None) -> Rules:
    """What configuration says of new volumes."""
    held = request.rooms.backends
    one = held.get(backend_name) if backend_name else next(iter(held.values()), None)
    return Rules(request.rooms.settings.volumes.quota_defaults(), one.traits if one else None)


def image_id(reference: str) -> str:
    """The id or name that an image reference gives, which may be a URL that ends in it."""
    last = reference.rstrip("/").rpartition("/")[2]
    return last if "/" in reference and is_uuid(last) else reference
