"""What images ask of a key manager: the certificate that a signature names. The contract, and what it may raise."""

from abc import ABC, abstractmethod

from moorage.core.errors import Malformed, Unavailable


class CertificateMissing(Malformed):
    """Signature verification for the image failed: there is no certificate {certificate}."""

    code = "image.certificate-missing"


class KeyManagerUnavailable(Unavailable):
    """The key manager does not answer: {why}."""

    code = "image.key-manager-unavailable"


class Certificates(ABC):
    """A key manager, as far as it keeps certificates. Its verbs block; they run on worker threads."""

    @abstractmethod
    def certificate(self, id: str) -> bytes:
        """The X.509 certificate `id`, as PEM or DER. `CertificateMissing` where there is none."""
