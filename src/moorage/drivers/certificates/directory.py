"""Certificates in a directory of this machine, each a file `<id>.pem`, `.crt`, `.cer` or `.der`."""

import os
from pathlib import Path

from moorage.core.ids import is_uuid
from moorage.images.signatures.certificates import CertificateMissing, Certificates, KeyManagerUnavailable

_ENDINGS = (".pem", ".crt", ".cer", ".der")
_LARGEST_BYTES = 64 << 10


class DirectoryCertificates(Certificates):
    """Who may put a file there decides whose signatures count."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def certificate(self, id: str) -> bytes:
        if not is_uuid(id):  # never a way out of the directory
            raise CertificateMissing(certificate=id[:64])
        for ending in _ENDINGS:
            try:
                with (self._root / f"{id.lower()}{ending}").open("rb") as file:
                    return file.read(_LARGEST_BYTES)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise KeyManagerUnavailable(why=os.strerror(error.errno or 0)) from None
        raise CertificateMissing(certificate=id.lower())
