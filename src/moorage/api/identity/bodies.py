"""
Bodies of calls that work on passwords. Those take long and run on threads of their own, so that their handlers are
coroutines and read their bodies themselves; the same checks apply.
"""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from moorage.api.request import Request
from moorage.core.errors import Malformed, TooLarge, UnsupportedContent

LIMIT = 65536  #: bytes


async def read(request: Request, chunks: AsyncIterator[bytes]) -> Any:
    """The body, checked against the route's schema."""
    raw = bytearray()
    async for chunk in chunks:
        raw += chunk
        if len(raw) > LIMIT:
            raise TooLarge(reason=f"The request body is larger than {LIMIT} bytes.")
    kind = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if raw and kind != "application/json":
        raise UnsupportedContent(reason=f"The content type {kind[:100]} is not supported here.")
    try:
        value = msgspec.json.decode(bytes(raw)) if raw else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed(reason="Malformed request body") from None
    if request.route.body is not None:
        request.route.body.check(value, request.version)
    return value
