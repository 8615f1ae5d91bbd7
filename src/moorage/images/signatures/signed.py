"""
Whether an image's signature is good, told from what was kept when its bytes came in: at once, whatever the size.

So it is asked wherever bytes go out, before the first one: the properties and the certificate may have changed since.
"""

from collections.abc import Mapping

from sqlalchemy import bindparam, delete, insert, select

from moorage.core.errors import Conflict
from moorage.database import Transaction
from moorage.database.among import either
from moorage.database.fixed import Fixed
from moorage.images.records import hashes, images, properties
from moorage.images.signatures import signature
from moorage.images.signatures.certificates import Certificates
from moorage.images.signatures.claim import PROPERTIES, SignatureRefused, claimed

p = properties.c

_CLAIMS = Fixed(select(p.name, p.value).where(p.image_id == bindparam("image"), either(p.name, PROPERTIES)))


class SignatureUnproven(Conflict):
    """
    The signature of image {image} is over {hash_method}, which was not taken when its data came in: that is done in the
    background now. Repeat the call later.
    """

    code = "image.signature-unproven"

    @property
    def image(self) -> str:
        """The image's id."""
        return str(self.facts["image"])


def claims(tx: Transaction, image_id: str) -> Mapping[str, str | None]:
    """Those of the image's properties that tell of its signature."""
    return {row["name"]: row["value"] for row in tx.all(_CLAIMS, {"image": image_id})}


def verify(tx: Transaction, image_id: str, certificates: Certificates | None) -> bool:
    """Whether the image has a signature, which is good then: one that is not, or cannot be told, is a refusal."""
    claim = claimed(claims(tx, image_id))
    if claim is None:
        return False
    if certificates is None:
        raise SignatureRefused(reason="no key manager is configured.")
    value = _kept(tx, image_id, claim.algorithm)
    if value is None:
        raise SignatureUnproven(image=image_id, hash_method=claim.hash_method)
    signature.verify(claim, bytes.fromhex(value), certificates)
    return True


def missing(tx: Transaction, image_id: str) -> str | None:
    """The algorithm of the hash that the image's signature is over, where that has not been taken of its bytes."""
    try:
        claim = claimed(claims(tx, image_id))
    except SignatureRefused:
        return None
    return claim.algorithm if claim is not None and _kept(tx, image_id, claim.algorithm) is None else None


def keep(tx: Transaction, image_id: str, taken: Mapping[str, str]) -> None:
    """These are hashes of the image's bytes, by their algorithms, besides its own."""
    for algorithm, value in taken.items():
        tx.run(delete(hashes).where(hashes.c.image_id == image_id, hashes.c.algorithm == algorithm))
        tx.run(insert(hashes).values(image_id=image_id, algorithm=algorithm, value=value))


def forget(tx: Transaction, image_id: str) -> None:
    """No hash is kept of a deleted image, besides its own."""
    tx.run(delete(hashes).where(hashes.c.image_id == image_id))


def _kept(tx: Transaction, image_id: str, algorithm: str) -> str | None:
    """The image's hash by this algorithm, in hexadecimal, where it was taken."""
    i, h = images.c, hashes.c
    own = select(i.os_hash_value).where(i.id == image_id, i.os_hash_algo == algorithm)
    more = select(h.value).where(h.image_id == image_id, h.algorithm == algorithm)
    value = tx.value(own) or tx.value(more)
    return None if value is None else str(value)
