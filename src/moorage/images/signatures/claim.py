"""What is claimed of an image: four properties that say which certificate's key has signed its bytes, and how."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from moorage.core.errors import Malformed

SIGNATURE, HASH_METHOD, KEY_TYPE, CERTIFICATE = PROPERTIES = (
    "img_signature",
    "img_signature_hash_method",
    "img_signature_key_type",
    "img_signature_certificate_uuid",
)

#: As the property says, and as hashlib does.
HASHES = {"SHA-224": "sha224", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
KEY_TYPES = ("RSA-PSS", "DSA", "ECC_SECP521R1", "ECC_SECP384R1")
_OBSOLETE = frozenset({"ECC_SECT571K1", "ECC_SECT409K1", "ECC_SECT571R1", "ECC_SECT409R1"})


class SignatureRefused(Malformed):
    """Signature verification for the image failed: {reason}"""

    code = "image.signature-refused"


@dataclass(frozen=True)
class Claim:
    """What an image's properties say of its signature."""

    signature: bytes
    hash_method: str
    key_type: str
    certificate: str  #: its id

    @property
    def algorithm(self) -> str:
        """The hash that was signed, as hashlib calls it."""
        return HASHES[self.hash_method]


def claimed(properties: Mapping[str, str | None]) -> Claim | None:
    """The claim in an image's properties: all four, or none. What makes no sense is refused."""
    given = [properties.get(name) for name in PROPERTIES]
    if not all(given):
        return None
    signature, hash_method, key_type, certificate = map(str, given)
    if hash_method not in HASHES:
        raise SignatureRefused(reason=f"{HASH_METHOD} is not one of {', '.join(HASHES)}.")
    if key_type in _OBSOLETE:
        raise SignatureRefused(reason=f"signatures of the type {key_type} are not verified here any more.")
    if key_type not in KEY_TYPES:
        raise SignatureRefused(reason=f"{KEY_TYPE} is not one of {', '.join(KEY_TYPES)}.")
    try:
        decoded = base64.b64decode("".join(signature.split()), validate=True)
    except ValueError:
        raise SignatureRefused(reason=f"{SIGNATURE} is not base64.") from None
    return Claim(decoded, hash_method, key_type, certificate)
