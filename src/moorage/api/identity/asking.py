"""What was asked: bodies with keys of clients' own, filters, times."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from moorage.api.request import Request, boolean
from moorage.core.errors import Malformed

#: What answers contain and bodies may repeat, to no effect.
_SHOWN_ONLY = frozenset({"id", "links", "password", "original_password", "password_expires_at", "is_domain", "extra"})

_EXTRA_BYTES = 8192


def columns(asked: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """`asked` with whatever is not `known` as its `extra`."""
    values = {key: value for key, value in asked.items() if key in known}
    extra = {key: value for key, value in asked.items() if key not in known and key not in _SHOWN_ONLY}
    encoded = msgspec.json.encode(extra)
    if len(encoded) > _EXTRA_BYTES:
        raise Malformed(reason=f"Attributes that are not defined take more than {_EXTRA_BYTES} bytes.")
    if b"\\u0000" in encoded:
        raise Malformed(reason="An attribute has a null character in it.")
    return {**values, "extra": extra} if extra else values


def flag(request: Request, name: str) -> bool | None:
    """Query parameter `name` as true or false; None if it was not given. Present without a value, it is true."""
    value = request.asked(name)
    if value is None:
        return None
    return True if value == "" else boolean(value, name)


def moment(text: str | None) -> int | None:
    """A time as clients write it, in microseconds since 1970."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return int(at.timestamp()) * 1_000_000 + at.microsecond
    except (ValueError, OverflowError):
        raise Malformed(reason="expires_at is not a time like 2030-12-31T23:59:59.") from None
