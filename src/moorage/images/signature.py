"""
The signature of an image: four properties that say which certificate's key has signed its bytes, and how.

A signature is made over a hash of the bytes. The hash is taken while they come in and kept; so whether a signature is
good can be told later at once, whatever the size, with the properties and the certificate as they are then.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from moorage.core.errors import Malformed
from moorage.images.certificates import Certificates

SIGNATURE, HASH_METHOD, KEY_TYPE, CERTIFICATE = PROPERTIES = (
    "img_signature",
    "img_signature_hash_method",
    "img_signature_key_type",
    "img_signature_certificate_uuid",
)

# fmt: off
HASHES: Mapping[str, tuple[str, hashes.HashAlgorithm]] = {
    # as the property says   for hashlib   for the key
    "SHA-224":              ("sha224",     hashes.SHA224()),
    "SHA-256":              ("sha256",     hashes.SHA256()),
    "SHA-384":              ("sha384",     hashes.SHA384()),
    "SHA-512":              ("sha512",     hashes.SHA512()),
}
# fmt: on
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
        return HASHES[self.hash_method][0]


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
    if key_type not in _VERIFIERS:
        raise SignatureRefused(reason=f"{KEY_TYPE} is not one of {', '.join(_VERIFIERS)}.")
    try:
        decoded = base64.b64decode("".join(signature.split()), validate=True)
    except ValueError:
        raise SignatureRefused(reason=f"{SIGNATURE} is not base64.") from None
    return Claim(decoded, hash_method, key_type, certificate)


class Witness:
    """Sees the bytes of a signed image pass, and says at their end whether the signature is theirs."""

    def __init__(self, claim: Claim, certificates: Certificates) -> None:
        self._claim, self._certificates = claim, certificates
        self._key: Any = None
        self._hash = hashlib.new(claim.algorithm)

    def prepare(self) -> None:
        """The certificate is at hand, or a refusal: before the first byte. It may have to be asked for elsewhere."""
        if self._key is None:
            self._key = _key(self._claim, self._certificates)

    def update(self, chunk: bytes) -> None:
        self._hash.update(chunk)

    def finish(self) -> dict[str, str]:
        """The hash that was signed, by its algorithm; `SignatureRefused` where the signature is not good."""
        self.prepare()
        _check(self._claim, self._key, self._hash.digest())
        return {self._claim.algorithm: self._hash.hexdigest()}


def witness(properties: Mapping[str, str | None], certificates: Certificates | None) -> Witness | None:
    """Who verifies the signature of an image with these properties; nobody, where it has none."""
    claim = claimed(properties)
    if claim is None:
        return None
    if certificates is None:
        raise SignatureRefused(reason="no key manager is configured.")
    return Witness(claim, certificates)


def verify(claim: Claim, digest: bytes, certificates: Certificates) -> None:
    """Return when the signature is one of bytes that have this hash, by a key that may sign now."""
    _check(claim, _key(claim, certificates), digest)


def _key(claim: Claim, certificates: Certificates) -> Any:
    data = certificates.certificate(claim.certificate)
    try:
        pem = b"-----BEGIN" in data
        certificate = x509.load_pem_x509_certificate(data) if pem else x509.load_der_x509_certificate(data)
        key = certificate.public_key()
        since, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except (ValueError, UnsupportedAlgorithm):
        raise SignatureRefused(reason="its certificate cannot be read.") from None
    if not since <= datetime.now(UTC) <= until:
        raise SignatureRefused(reason="its certificate is not valid at this time.")
    return key


def _check(claim: Claim, key: Any, digest: bytes) -> None:
    try:
        _VERIFIERS[claim.key_type](key, claim.signature, digest, HASHES[claim.hash_method][1])
    except InvalidSignature:
        raise SignatureRefused(reason="the signature is not that of these data.") from None
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise SignatureRefused(reason="its certificate's key is not of the type that the signature names.") from None


def _rsa_pss(key: Any, signature: bytes, digest: bytes, algorithm: hashes.HashAlgorithm) -> None:
    _expect(isinstance(key, rsa.RSAPublicKey))
    scheme = padding.PSS(mgf=padding.MGF1(algorithm), salt_length=padding.PSS.MAX_LENGTH)
    key.verify(signature, digest, scheme, Prehashed(algorithm))


def _dsa(key: Any, signature: bytes, digest: bytes, algorithm: hashes.HashAlgorithm) -> None:
    _expect(isinstance(key, dsa.DSAPublicKey))
    key.verify(signature, digest, Prehashed(algorithm))


def _ecc(curve: type[ec.EllipticCurve]) -> Callable[[Any, bytes, bytes, hashes.HashAlgorithm], None]:
    def verify(key: Any, signature: bytes, digest: bytes, algorithm: hashes.HashAlgorithm) -> None:
        _expect(isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, curve))
        key.verify(signature, digest, ec.ECDSA(Prehashed(algorithm)))

    return verify


def _expect(fits: bool) -> None:
    if not fits:
        raise TypeError


_VERIFIERS: Mapping[str, Callable[[Any, bytes, bytes, hashes.HashAlgorithm], None]] = {
    "RSA-PSS": _rsa_pss,
    "DSA": _dsa,
    "ECC_SECP521R1": _ecc(ec.SECP521R1),
    "ECC_SECP384R1": _ecc(ec.SECP384R1),
}
