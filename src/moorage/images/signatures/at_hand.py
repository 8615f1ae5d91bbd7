"""
Certificates inside a transaction: those that were asked for before it. The key manager may be far away, and nobody
waits for it while a transaction is open.

Whoever needs another one leaves the transaction (`NotAtHand`), asks for it, and begins the transaction anew: so what an
image claims is always read together with what is decided on it, however often that has changed meanwhile.
"""

from moorage.core.errors import Conflict
from moorage.images.signatures.certificates import Certificates

MOST = 8  #: certificates that one request asks for


class NotAtHand(Exception):
    """Certificate `id` is to be asked for first."""

    def __init__(self, id: str) -> None:
        self.id = id


class CertificateChanges(Conflict):
    """The certificate of the image's signature is changed all the time. Repeat the call later."""

    code = "image.certificate-changes"


class AtHand(Certificates):
    """The certificates of one request."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self._known: dict[str, bytes] = {}

    def certificate(self, id: str) -> bytes:
        if id not in self._known:
            raise NotAtHand(id)
        return self._known[id]

    def fetch(self, id: str) -> None:
        """Ask for one, which takes its time: for use outside of transactions."""
        if len(self._known) >= MOST:
            raise CertificateChanges()
        self._known[id] = self._certificates.certificate(id)
