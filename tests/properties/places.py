"""Where holders are, and by which door they come: a handful of each, so that callers meet."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HERE = socket.gethostname()
USER, ADMIN = "moorage", "moorage-admin"


@dataclass(frozen=True)
class Place:
    """A connector and who sends it; `key` is equal where service must see the same place."""

    key: str
    as_: str
    connector: Mapping[str, Any]

    @property
    def mode(self) -> str | None:
        return self.connector.get("mode")


SOCKET = Place(f"{HERE}|socket", ADMIN, {"host": HERE, "nbd": True})
FIRST = Place("h1|tls", USER, {"host": "h1", "nbd": True})
SECOND = Place("h2|tls", USER, {"host": "h2", "nbd": True})
READER = Place("h2|tls|ro", USER, {"host": "h2", "nbd": True, "mode": "ro"})
DEVICE = Place(f"{HERE}|device", ADMIN, {"host": HERE})  # needs root
