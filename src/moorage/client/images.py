"""Image: images by name or id, and their imports."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from moorage.client.session import Session
from moorage.client.volumes import is_id
from moorage.client.wire import ClientError


class Images:
    """What one user sees of Image."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, named: str) -> dict[str, Any]:
        """The image of that id or name; a name has to be one image's."""
        if is_id(named):
            return dict(self._session.ask("image", "GET", f"/v2/images/{named}"))
        rows = self._session.ask("image", "GET", f"/v2/images?{urlencode({'name': named})}")["images"]
        if len(rows) != 1:
            found = ", ".join(row["id"] for row in rows)
            raise ClientError(f"{len(rows)} images are called {named}{': ' if found else ''}{found}.")
        return dict(rows[0])

    def begin_import(self, image: str, method: Mapping[str, Any], stores: Mapping[str, Any]) -> dict[str, Any]:
        """The import, or copy, is under way; its task, whose id is its operation's, and whose `backend` are stores."""
        path = f"/v2/images/{quote(image)}"
        self._session.ask("image", "POST", f"{path}/import", {"method": method, **stores})
        return dict(self._session.ask("image", "GET", f"{path}/tasks")["tasks"][-1])
