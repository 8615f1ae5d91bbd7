"""`Moorage-Key`: by which the repeat of a call that makes something finds what the first one has made."""

from collections.abc import Mapping
from typing import Any

from moorage.api.request import Request
from moorage.core.errors import Malformed
from moorage.database import Transaction
from moorage.operations import journal

LONGEST = 128


def asked(request: Request) -> str | None:
    """The key that the client has chosen for this call."""
    key = request.headers.get("moorage-key")
    if key is not None and not 0 < len(key) <= LONGEST:
        raise Malformed(reason=f"Moorage-Key has 1 to {LONGEST} characters.")
    return key


def earlier(tx: Transaction, request: Request, project_id: str, kinds: frozenset[str]) -> Mapping[str, Any] | None:
    """
    The operation in the project that an earlier call with this key has begun. Ask once nobody else can begin one.
    """
    key = asked(request)
    found = journal.by_key(tx, project_id, key) if key is not None else None
    if found is not None and found["kind"] not in kinds:
        raise Malformed(reason="Moorage-Key was used for another call.")
    return found
