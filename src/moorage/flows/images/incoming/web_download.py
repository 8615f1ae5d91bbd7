"""Import what a URL leads to: `web-download`."""

from collections.abc import Callable, Mapping
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Malformed
from moorage.images.imports.fetch import Fetch
from moorage.images.imports.method import Method, Remote, Source


class WebDownload(Method):
    """Through the guard, as everything that users name."""

    name = "web-download"

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    def check(self, caller: Caller, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        uri = asked.get("uri")
        if not uri:
            raise Malformed(reason="uri is needed to import by web-download.")
        self._fetch.check(uri)
        return {"uri": uri}

    def open(self, checked: Mapping[str, Any], size_limit: int, check: Callable[[], None]) -> Source:
        fetched = self._fetch.open(checked["uri"], limit=size_limit, check=check)
        return Source(Remote(size=fetched.size), fetched, fetched.close)
