"""
Signatures against certificates: what needs the large part of the cryptographic library, which is loaded when the first
signed image asks for it.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from moorage.images.signatures.certificates import Certificates
from moorage.images.signatures.claim import Claim, SignatureRefused

_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


def key_of(claim: Claim, certificates: Certificates) -> Any:
    """The key that the claim names, which may sign now."""
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


def check(claim: Claim, key: Any, digest: bytes) -> None:
    """Return when the signature is one by `key` of bytes that have this hash."""
    try:
        _VERIFIERS[claim.key_type](key, claim.signature, digest, _HASHES[claim.algorithm])
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
