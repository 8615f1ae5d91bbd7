"""
The signature of an image, verified while its bytes pass or at any time afterwards.

A signature is made over a hash of the bytes. The hash is taken while they come in and kept; so whether a signature is
good can be told later at once, whatever the size, with the properties and the certificate as they are then.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from moorage.images.signatures.certificates import Certificates
from moorage.images.signatures.claim import Claim, SignatureRefused, claimed


class Aside:
    """Takes the hash that a signature is over, besides the image's own, and believes whatever it is."""

    def __init__(self, algorithm: str) -> None:
        self._algorithm, self._hash = algorithm, hashlib.new(algorithm)

    def prepare(self) -> None:
        """Nothing has to be asked for."""

    def update(self, chunk: bytes) -> None:
        self._hash.update(chunk)

    def finish(self) -> dict[str, str]:
        """The hash, by its algorithm."""
        return {self._algorithm: self._hash.hexdigest()}


class Witness(Aside):
    """Sees the bytes of a signed image pass, and says at their end whether the signature is theirs."""

    def __init__(self, claim: Claim, certificates: Certificates) -> None:
        super().__init__(claim.algorithm)
        self._claim, self._certificates = claim, certificates
        self._key: Any = None

    def prepare(self) -> None:
        """The certificate is at hand, or a refusal: before the first byte. It may have to be asked for elsewhere."""
        if self._key is None:
            from moorage.images.signatures.verification import key_of

            self._key = key_of(self._claim, self._certificates)

    def finish(self) -> dict[str, str]:
        """The hash that was signed, by its algorithm; `SignatureRefused` where the signature is not good."""
        from moorage.images.signatures.verification import check

        self.prepare()
        check(self._claim, self._key, self._hash.digest())
        return super().finish()


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
    from moorage.images.signatures.verification import check, key_of

    check(claim, key_of(claim, certificates), digest)
