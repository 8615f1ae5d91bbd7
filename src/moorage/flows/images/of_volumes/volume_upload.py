"""
Upload a volume as an image: which way it goes, decided and begun in one transaction with the image's record.

Nothing is begun, and no image is there, where anything that can be known beforehand is wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Conflict, Malformed
from moorage.core.ids import new_uuid
from moorage.database import Transaction
from moorage.flows.images.of_volumes import clone_volume, copy_volume, from_volume
from moorage.flows.images.stores import chosen, in_our_volumes, showing
from moorage.flows.rooms import Rooms
from moorage.images import receiving, service
from moorage.images.allowance import Room
from moorage.images.image import CONTAINER_FORMATS, RESERVED_PREFIX
from moorage.images.service import Image, New
from moorage.volumes import copies, layers, volume, volume_type
from moorage.volumes.attachments import attachment
from moorage.volumes.backend import POURED, Traits
from moorage.volumes.errors import InvalidVolume

STORE_SPEC = "image_service:store_id"  #: a volume type's word on which store its volumes' images go to
FORMATS = POURED | {"raw"}
GIB = 1 << 30
USABLE = ("available", "in-use")

#: What a volume remembers of its image that is no property of an image: attributes, and what is said of that one alone.
_NO_PROPERTIES = frozenset(
    "checksum container_format disk_format image_name image_id min_disk min_ram name size signature_verified".split()
)
_NO_PREFIXES = (RESERVED_PREFIX, "img_signature", "cinder_encryption_key")


@dataclass(frozen=True)
class Asked:
    """What is asked of the image."""

    name: str
    disk_format: str = "raw"
    container_format: str = "bare"
    force: bool = False
    store: str | None = None  #: named in the call
    visibility: str | None = None
    protected: bool | None = None


@dataclass(frozen=True)
class Begun:
    """What is under way, and where it shows."""

    image: Image
    operation: str
    short: (
        bool  #: its end is worth waiting for: until then it is not certain which moment of the volume the image is of
    )


def begin(
    tx: Transaction, rooms: Rooms, caller: Caller, row: Mapping[str, Any], asked: Asked, key: str | None = None
) -> Begun:
    """Begin to make an image of the volume `row`, of which the caller may. Nothing is there if that is refused."""
    if asked.container_format not in CONTAINER_FORMATS:
        raise Malformed(reason=f"Invalid container format '{asked.container_format[:64]}' for image.")
    known: Mapping[str, str] = row["image_metadata"] or {}
    wanted = volume_type.by_id(tx, row["type_id"])["extra_specs"].get(STORE_SPEC)
    store = chosen(tx, rooms, caller, asked.store, wanted, known.get("image_id"))
    image = service.create(tx, caller, _new(row, asked, known), rooms.settings.images)
    operation = new_uuid()
    size = row["size_gib"] * GIB if asked.disk_format == "raw" else None
    receiving.begin(tx, caller, image.row["id"], operation, room=Room(rooms.settings.images, stored=size))
    row = volume.locked(tx, caller, row["id"])
    _check(tx, row, asked)
    used = bool(attachment.held(tx, row["id"]))
    as_it_is = asked.disk_format == "raw" and _freezable(tx, rooms, row)
    shown, cloned = (as_it_is and store in found for found in (showing(rooms, row["backend"]), in_our_volumes(rooms)))
    given: dict[str, Any] = {"image": image.row["id"], "volume": row["id"], "container_format": asked.container_format}
    given |= {"store": store, "hash_algorithm": rooms.settings.images.hash_algorithm}
    if cloned:
        clone_volume.begin(tx, caller, row, given, operation, key)
    elif shown or used:
        given |= {"copy": None if shown else asked.disk_format}
        volume.begin(tx, from_volume.KIND, row, caller, given, id=operation, key=key)
    else:
        given |= {"disk_format": asked.disk_format, "layers": []}
        deadline_s = copy_volume.DEADLINE_S
        volume.begin(tx, copy_volume.KIND, row, caller, given, id=operation, key=key, deadline_s=deadline_s)
    return Begun(service.show(tx, caller, image.row["id"]), operation, cloned or shown or used)


def _check(tx: Transaction, row: Mapping[str, Any], asked: Asked) -> None:
    if row["status"] not in USABLE:
        raise InvalidVolume(
            reason=f"Volume {row['id']} status must be available or in-use, but current status is: {row['status']}.",
            blockers=volume.blockers(tx, row),
        )
    if row["status"] == "in-use" and not asked.force:
        raise InvalidVolume(
            reason=f"Volume {row['id']} is in-use; with force an image is made of what it holds at this moment.",
            blockers=volume.blockers(tx, row),
        )
    if row["head"] is None:
        raise Conflict(reason=f"Volume {row['id']} has no data.")


def _freezable(tx: Transaction, rooms: Rooms, row: Mapping[str, Any]) -> bool:
    backend = rooms.backends.get(row["backend"])
    traits: Traits | None = backend.traits if backend is not None else None
    live = traits is None or traits.advance or not attachment.held(tx, row["id"])
    copy = copies.below(tx, row["head"])
    shown = copy is None or copy["state"] == copies.State.WHOLE  # what has not come yet cannot be shown
    return live and shown and layers.depth(layers.chain(tx, row["head"])) < layers.DEEPEST_CHAIN


def _new(row: Mapping[str, Any], asked: Asked, known: Mapping[str, str]) -> New:
    columns: dict[str, Any] = {
        "name": asked.name,
        "disk_format": asked.disk_format,
        "container_format": asked.container_format,
        "min_disk_gib": row["size_gib"],
        "min_ram_mib": _whole(known.get("min_ram")),
    }
    if asked.visibility is not None:
        columns["visibility"] = asked.visibility
    if asked.protected is not None:
        columns["protected"] = asked.protected
    return New(columns=columns, properties=properties_of(known))


def properties_of(known: Mapping[str, str]) -> dict[str, str | None]:
    """What of a volume's image metadata becomes properties of an image that is made of it."""
    kept = {name: value for name, value in known.items() if name not in _NO_PROPERTIES}
    return {name: str(value) for name, value in kept.items() if not name.startswith(_NO_PREFIXES)}


def _whole(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else 0
