"""Block Storage: volumes by name or id, and attachments."""

import re
from typing import Any
from urllib.parse import urlencode

from moorage.client.session import Session
from moorage.client.wire import ClientError, Refusal

VERSION = "3.54"  #: attachments have modes

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_id(text: str) -> bool:
    """Whether `text` looks like the id of something."""
    return _UUID.fullmatch(text.lower()) is not None


class Volumes:
    """What one user sees of Block Storage."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        return self._session.ask("block-storage", method, path, body, version=VERSION)

    def find(self, named: str) -> dict[str, Any]:
        """The volume of that id or name; a name has to be one volume's."""
        if is_id(named):
            found: dict[str, Any] = self._ask("GET", f"/volumes/{named}")["volume"]
            return found
        rows = self._ask("GET", f"/volumes/detail?{urlencode({'name': named})}")["volumes"]
        rows = [row for row in rows if row["name"] == named]
        if not rows:
            raise ClientError(f"There is no volume {named}.")
        if len(rows) > 1:
            raise ClientError(f"{len(rows)} volumes are called {named}: {', '.join(row['id'] for row in rows)}.")
        return dict(rows[0])

    def reserve(self, volume: str, mode: str) -> str:
        """The id of a new attachment of the volume."""
        asked = {"attachment": {"volume_uuid": volume, "mode": mode}}
        return str(self._ask("POST", "/attachments", asked)["attachment"]["id"])

    def publish(self, attachment: str, connector: dict[str, Any], lease_s: int) -> dict[str, Any]:
        """Where the attachment is reached by who is where `connector` says, as long as the lease is renewed."""
        path, asked = f"/attachments/{attachment}", {"attachment": {"connector": connector}}
        headers = {"Moorage-Lease": str(lease_s)}
        answer = self._session.ask("block-storage", "PUT", path, asked, version=VERSION, headers=headers)
        return dict(answer["attachment"]["connection_info"])

    def complete(self, attachment: str) -> None:
        """Say that the device is there."""
        self._ask("POST", f"/attachments/{attachment}/action", {"os-complete": {}})

    def release(self, attachment: str) -> None:
        """End the attachment. Gone is fine."""
        try:
            self._ask("DELETE", f"/attachments/{attachment}")
        except Refusal as refusal:
            if refusal.status != 404:
                raise

    def attachment(self, id: str) -> dict[str, Any] | None:
        """The attachment; None where there is none."""
        try:
            found: dict[str, Any] = self._ask("GET", f"/attachments/{id}")["attachment"]
        except Refusal as refusal:
            if refusal.status != 404:
                raise
            return None
        return found

    def attachments(self, volume: str) -> list[dict[str, Any]]:
        """The attachments of a volume."""
        rows = self._ask("GET", f"/attachments/detail?{urlencode({'volume_id': volume})}")["attachments"]
        return [dict(row) for row in rows]
