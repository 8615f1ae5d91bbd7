"""
What browsers ask before a page of another origin may use these APIs, and what they want to read on the answers.

Only origins that the configuration names are let in; a token is needed all the same, since nothing goes by cookies.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"

ALLOWED = (
    "Accept, Content-Type, Content-MD5, Content-Range, Range, Cache-Control, X-Auth-Token, X-Service-Token, "
    "X-Subject-Token, X-Project-Id, X-Openstack-Request-Id, OpenStack-API-Version, X-OpenStack-Image-Size, "
    "X-Image-Meta-Store, X-OpenStack-Base-Image-Ref, X-OpenStack-Append, Moorage-Wait, Moorage-Key, Moorage-Generation"
)
EXPOSED = (
    "x-openstack-request-id, X-Subject-Token, OpenStack-API-Version, OpenStack-image-import-methods, "
    "OpenStack-image-store-ids, Location, Content-MD5, Content-Range, Accept-Patch, Moorage-Generation"
)
AGE_S = 600  #: how long a browser remembers what it was told


class Cors:
    """An application as pages of other origins may use it; "*" stands for all of them."""

    def __init__(self, app: App, origins: Iterable[str] = ()) -> None:
        self._app, self._origins = app, frozenset(origin.rstrip("/") for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = self._told(scope)
        if scope["method"] == "OPTIONS":
            await _answer(send, [*told, (b"content-length", b"0")])
            return

        if not told:
            await self._app(scope, receive, send)
            return

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *told]}
            await send(message)

        await self._app(scope, receive, telling)

    def _told(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """The headers for the request's origin; none where it is not let in."""
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        if not origin or not ({origin, "*"} & self._origins):
            return []
        told = {"access-control-allow-origin": origin, "vary": "Origin", "access-control-expose-headers": EXPOSED}
        if scope["method"] == "OPTIONS":
            told["access-control-allow-methods"] = METHODS
            told["access-control-allow-headers"] = ALLOWED
            told["access-control-max-age"] = str(AGE_S)
        return [(name.encode(), value.encode("latin-1")) for name, value in told.items()]


async def _answer(send: Send, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
