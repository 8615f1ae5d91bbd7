"""
Bytes that others have put somewhere, as an image's: who may say where they are, of which image, and what of them.

What is said of bytes is compared with them before anybody sees it; that is a hash to begin with, and never a promise.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Malformed
from moorage.database import Transaction
from moorage.images.access import rules
from moorage.images.access.visibility import find, find_locked
from moorage.images.errors import FormatsUnset, TransitionRefused
from moorage.images.image import LIFE, State
from moorage.images.service import blockers, move
from moorage.operations import events

ALGORITHMS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}  #: and how long their values are, in hex
ANYBODYS = ("http://", "https://")  #: where everybody can look; of other places only services know what is there
_HEX = re.compile(r"[0-9a-fA-F]+")


@dataclass(frozen=True)
class Said:
    """What somebody says that the bytes are."""

    algorithm: str
    value: str
    checksum: str | None = None  #: MD5, which the old way has beside the other

    @classmethod
    def of(cls, data: Mapping[str, Any] | None) -> "Said | None":
        """What `validation_data` says; None where that is nothing."""
        if not data:
            return None
        if "os_hash_algo" not in data or "os_hash_value" not in data:
            raise Malformed(reason="validation_data has os_hash_algo and os_hash_value, both or neither.")
        algorithm, value = data["os_hash_algo"], data["os_hash_value"]
        if algorithm not in ALGORITHMS:
            raise Malformed(reason=f"os_hash_algo is one of {', '.join(ALGORITHMS)}.")
        if len(value) != ALGORITHMS[algorithm] or not _HEX.fullmatch(value):
            raise Malformed(reason=f"os_hash_value of {algorithm} has {ALGORITHMS[algorithm]} hexadecimal digits.")
        checksum = data.get("checksum")
        if checksum is not None and not (len(checksum) == ALGORITHMS["md5"] and _HEX.fullmatch(checksum)):
            raise Malformed(reason=f"checksum has {ALGORITHMS['md5']} hexadecimal digits.")
        return cls(algorithm, value.lower(), checksum.lower() if checksum else None)

    def fits(self, checksum: str | None, algorithm: str | None, value: str | None) -> bool:
        """Whether that is what is known of the bytes."""
        return (self.algorithm, self.value, self.checksum or checksum) == (algorithm, value, checksum)


def addable(tx: Transaction, caller: Caller, id: str, url: str) -> Mapping[str, Any]:
    """The image, if the caller may say that its bytes are at `url`, and it waits for bytes."""
    return _addable(tx, caller, find(tx, caller, id), url)


def addable_locked(tx: Transaction, caller: Caller, id: str, url: str) -> Mapping[str, Any]:
    """The same, nobody else changing the image."""
    return _addable(tx, caller, find_locked(tx, caller, id), url)


def may_say(caller: Caller, image: Mapping[str, Any], url: str) -> None:
    """Refuse who may not say that the image's bytes are at `url`."""
    if url.lower().startswith(ANYBODYS) and not caller.is_service:
        rules.permit_on(caller, rules.ADD_OWN_LOCATION, image)
    else:
        caller.must(rules.ADD_LOCATION)


def _addable(tx: Transaction, caller: Caller, image: Mapping[str, Any], url: str) -> Mapping[str, Any]:
    may_say(caller, image, url)
    if image["state"] != State.QUEUED:
        at, target = image["state"], LIFE["import"].target
        raise TransitionRefused(state=at, target=target, image=image["id"], blockers=blockers(tx, image))
    if not image["disk_format"] or not image["container_format"]:
        raise FormatsUnset()
    return image


def expect(tx: Transaction, image: Mapping[str, Any], operation: str, request_id: str) -> None:
    """The locked image waits for the bytes that this operation has found."""
    move(tx, image, "import", upload_id=operation, import_id=None)
    events.record(tx, "image.importing", "image", image["id"], image["owner"], request_id)
