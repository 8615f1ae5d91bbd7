"""
Where an image's bytes are, for whoever lets them out, by download or as a volume.

This is the one door: of an image that claims a signature nothing is told before that is found good, with the properties
and the certificate as they are now. The certificates given are at hand: no key manager is asked inside a transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.images.access.visibility import find_locked
from moorage.images.errors import NotUsable
from moorage.images.image import State
from moorage.images.locations import location
from moorage.images.service import blockers, gather
from moorage.images.signatures import signed
from moorage.images.signatures.certificates import Certificates

_COPIED = "id name owner disk_format container_format read_as size virtual_size min_disk_gib min_ram_mib checksum"


@dataclass(frozen=True)
class Usable:
    """What can be made of an image: where its bytes are and how they are read."""

    id: str
    name: str | None
    owner: str | None
    disk_format: str
    container_format: str
    read_as: str | None  #: how the bytes are to be read: what was found, not what was declared; None: nobody has looked
    size: int
    virtual_size: int | None
    min_disk_gib: int
    min_ram_mib: int
    checksum: str | None  #: None: nobody has read the bytes yet
    properties: Mapping[str, str | None]
    stores: Mapping[str, str]  #: all stores that hold it, and the object in each
    verified: bool  #: it has a signature, which is good


def readable(tx: Transaction, image: Mapping[str, Any], certificates: Certificates | None) -> Mapping[str, str]:
    """The stores that hold the image, and the object in each, for whoever may read its bytes."""
    signed.verify(tx, image["id"], certificates)
    return location.objects(tx, image["id"])


def usable(tx: Transaction, caller: Caller, id: str, certificates: Certificates | None) -> Usable:
    """What a volume that is made of the image needs; the image stays as it is until the transaction ends."""
    image = find_locked(tx, caller, id)
    if image["state"] != State.ACTIVE:
        raise NotUsable(image=id, state=image["state"], blockers=blockers(tx, image))
    return Usable(
        **{name: image[name] for name in _COPIED.split()},
        properties=gather(tx, [image])[0].properties,
        verified=signed.verify(tx, id, certificates),
        stores=location.objects(tx, id),
    )
