"""
Make a volume from an image: its head lies on the stored image's file. No byte is copied, whatever the size. Images on
which nothing can lie are converted instead (`convert_image`); those that the backend cannot reach are copied while they
are read (`volume_from_copy`).

The image's row is locked while the volume is entered as a user of the file, so that the image's deletion leaves the
file to the volume, or the volume is not made.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select

from moorage.core.caller import Caller
from moorage.core.errors import Conflict, Malformed, Problem
from moorage.core.ids import is_uuid
from moorage.database import Transaction
from moorage.flows.volumes import convert_image, volume_from_copy, volume_from_image_volume
from moorage.flows.volumes.volume_ends import INSTEAD, made
from moorage.flows.volumes.volume_layers import GIB, fresh, give_head, take_back_head, volume_of
from moorage.images import outgoing
from moorage.images.access import visibility
from moorage.images.access.protections import Protections, readable
from moorage.images.errors import ImageNotFound, NotUsable
from moorage.images.image import State
from moorage.images.outgoing import Usable
from moorage.images.records import images
from moorage.images.signatures.certificates import Certificates
from moorage.operations.flow import Flow, Step, Work
from moorage.volumes import layers, volume
from moorage.volumes.backend import Format, Layer
from moorage.volumes.errors import InvalidInput
from moorage.volumes.volume import New, Rules

#: How the bytes of an image file are read as a layer, by what was found in them.
LAYER_FORMATS = {"raw": Format.RAW, "iso": Format.RAW, "qcow2": Format.QCOW2}

#: What is converted into a raw head, because nothing can lie on it.
FOREIGN = frozenset({"vmdk", "vdi", "vhd", "vhdx"})


class InvalidImage(Malformed):
    """Invalid image identifier or unable to access requested image."""

    code = "image.invalid"


class ImageUnusable(Malformed):
    """Image {image} is unacceptable: {reason}"""

    code = "image.unacceptable"


class SeveralImages(Conflict):
    """Multiple resources named '{name}' exist"""

    code = "image.several"


@dataclass(frozen=True)
class Source:
    """Which image it is, and in which stores its bytes may be."""

    reference: str
    near: Callable[[str], Sequence[str]]  #: on what is in these, volumes of that backend can lie; the most wanted first
    volumes: Sequence[str] = ()  #: these keep images in volumes of our own Block Storage
    far: Sequence[str] = ()  #: from these its bytes can be copied; the most wanted first
    guards: Protections = ()  #: which properties the caller sees, and the volume shows
    certificates: Certificates | None = None  #: by which signatures are verified


def begin(
    tx: Transaction,
    caller: Caller,
    source: Source,
    new: Callable[[Usable], New],
    rules: Rules,
    key: str | None = None,
) -> Mapping[str, Any]:
    """Begin to make a volume of an image; the project's quota is locked already."""
    image = _usable(tx, caller, source)
    asked = new(image)
    _fits(image, asked.size_gib)
    asked, read_as = _made_of(image, asked), image.read_as
    near = next((store for store in source.near(asked.backend) if store in image.stores), None)
    if near is None or read_as is None:
        return _from_afar(tx, caller, source, image, asked, rules, key)
    object = image.stores[near]
    row = volume.enter(tx, caller, replace(asked, base=object), rules)
    kept = {"backend": asked.backend, "image_id": image.id, "store": near}
    if read_as in FOREIGN:
        layers.keep(tx, object, read_as, image.virtual_size or 0, **kept)
        facts = {"size_gib": asked.size_gib, "format": read_as}
        volume.begin(tx, convert_image.KIND, row, caller, facts, key=key)
    else:
        below = Layer(object, LAYER_FORMATS[read_as], image.virtual_size or image.size)
        layers.enter(tx, below, **kept)
        volume.begin(tx, "volume-from-image", row, caller, {"size_gib": asked.size_gib}, key=key)
    return row


def _from_afar(
    tx: Transaction, caller: Caller, source: Source, image: Usable, asked: New, rules: Rules, key: str | None
) -> Mapping[str, Any]:
    """A volume of an image on whose bytes it cannot lie as they are: on those of another volume, or on a copy."""
    kept = next((store for store in source.volumes if store in image.stores and image.read_as), None)
    far = next((store for store in source.far if store in image.stores), None)
    if kept is not None:
        try:
            return volume_from_image_volume.begin(tx, caller, image, kept, asked, rules, key)
        except volume_from_image_volume.ImageVolumeElsewhere:
            if far is None:
                raise
    if far is None:
        raise ImageUnusable(image=image.id, reason="the backend cannot reach any store that holds it.")
    foreign = (image.read_as or image.disk_format) in FOREIGN
    return volume_from_copy.begin(tx, caller, image, far, asked, rules, foreign=foreign, key=key)


def _made_of(image: Usable, asked: New) -> New:
    return replace(asked, image_id=image.id, image_metadata=described(image), bootable=True)


def _usable(tx: Transaction, caller: Caller, source: Source) -> Usable:
    id = source.reference if is_uuid(source.reference) else _named(tx, caller, source.reference)
    try:
        image = outgoing.usable(tx, caller, id, source.certificates)
    except ImageNotFound:
        raise InvalidImage() from None
    except NotUsable as problem:
        raise ImageUnusable(
            image=id, reason=f"Image status must be active. {problem.sentence}", blockers=problem.blockers
        ) from None
    read_as = image.read_as or image.disk_format  # which is what is looked for where nobody has looked yet
    if read_as not in LAYER_FORMATS.keys() | FOREIGN:
        raise ImageUnusable(image=id, reason=f"volumes cannot be made of the format {read_as}.")
    if image.read_as and image.virtual_size is None and LAYER_FORMATS.get(read_as) is not Format.RAW:
        raise ImageUnusable(
            image=id, reason=f"in a container of the format {image.container_format} its content was not inspected."
        )
    return replace(image, properties=readable(source.guards, caller, image.properties))


def _named(tx: Transaction, caller: Caller, name: str) -> str:
    """The id of the one image of that name that the caller sees."""
    c = images.c
    query = select(c.id).where(c.name == name, c.state == str(State.ACTIVE), visibility.listed(caller, "all"))
    found = tx.all(query.order_by(c.created_at).limit(2))
    if len(found) > 1:
        raise SeveralImages(name=name[:255])
    if not found:
        raise InvalidImage()
    return str(found[0]["id"])


def _fits(image: Usable, size_gib: int) -> None:
    needed_gib = -(-(image.virtual_size or image.size) // GIB)
    if needed_gib > size_gib:
        raise InvalidInput(reason=f"Size of specified image {needed_gib}GB is larger than volume size {size_gib}GB.")
    if image.min_disk_gib > size_gib:
        raise InvalidInput(
            reason=f"Volume size {size_gib}GB cannot be smaller than the image minDisk size {image.min_disk_gib}GB."
        )


def described(image: Usable) -> dict[str, str]:
    """What a volume shows of the image that it was made of."""
    kept = {name: str(value) for name, value in image.properties.items() if value is not None}
    return {
        **kept,
        "signature_verified": str(image.verified),
        "image_id": image.id,
        "image_name": image.name or "",
        **({"checksum": image.checksum} if image.checksum is not None else {}),
        "container_format": image.container_format,
        "disk_format": image.disk_format,
        "min_disk": str(image.min_disk_gib),
        "min_ram": str(image.min_ram_mib),
        "size": str(image.size),
    }


def head(work: Work) -> Mapping[str, Any]:
    """The volume's head lies on the image's file."""
    row = volume_of(work)
    if row["head"] is not None:
        return {"layer": row["head"]}
    if row["base"] is None:
        raise Problem()
    with work.rooms.database.read() as tx:
        below = layers.chain(tx, row["base"])
    layer = fresh(work, work.input["size_gib"] * GIB, below)
    give_head(work, layer, "overlay")
    return {"layer": layer.name}


VOLUME_FROM_IMAGE = Flow("volume-from-image", (Step("head", head, undo=take_back_head),), settle=made, instead=INSTEAD)
