"""
The host agent: Moorage on this machine, reached over a socket that admits root and Moorage's own user, without a token.

Where the socket is follows from the state directory alone, so that nobody has to be asked for it.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moorage.client.wire import ClientError, Unreachable, Wire


def state_directory(named: str | None, environ: Mapping[str, str]) -> Path:
    """The state directory: the one that is named, else `MOORAGE_STATE`, else the usual place."""
    usual = "/var/lib/moorage" if os.geteuid() == 0 else "~/.local/share/moorage"
    return Path(named or environ.get("MOORAGE_STATE") or usual).expanduser()


def socket_of(state: Path, environ: Mapping[str, str]) -> Path:
    """Where the agent of the state directory listens."""
    name = hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:12]
    own = environ.get("XDG_RUNTIME_DIR") or f"/tmp/moorage-{os.geteuid()}"
    return Path("/run" if os.geteuid() == 0 else own) / "moorage" / name / "agent"


class Agent:
    """The agent at a socket."""

    def __init__(self, socket: Path, timeout_s: float = 90.0) -> None:
        self._wire = Wire(socket=socket, timeout_s=timeout_s)
        self.socket = socket

    def ask(self, method: str, path: str, body: Any = None, *, version: str | None = None) -> Any:
        """What Moorage answers at `path`, made as its administrator; `version` is Block Storage's."""
        headers = {} if version is None else {"OpenStack-API-Version": f"volume {version}"}
        try:
            return self._wire.ask(method, "http://localhost" + path, body, headers).body
        except Unreachable as problem:
            raise Unreachable(
                f"{problem}. Is Moorage running here, on this state directory? And are you root?"
            ) from None

    def answers(self) -> bool:
        """Whether it does."""
        try:
            self._wire.ask("GET", "http://localhost/moorage/v1/status")
        except Unreachable:
            return False
        except ClientError:
            pass
        return True

    def host(self) -> str:
        """The name of its host, as in connectors and attachments."""
        return self.here().host

    def forget(self, attachment: str) -> None:
        """Where volumes are elsewhere, leave no device of the attachment; else that is the server's business."""
        if self.here().joined:
            self.ask("DELETE", f"/moorage/v1/devices/{attachment}")

    def here(self) -> "Here":
        """What it says of its host."""
        said = self.ask("GET", "/moorage/v1/status")["status"]
        return Here(str(said["host"]), bool(said.get("joined")), int(said.get("lease_s", 0)))


@dataclass(frozen=True)
class Here:
    """A host, as its agent says."""

    host: str
    joined: bool  #: its volumes are elsewhere
    lease_s: int  #: the term of leases here
