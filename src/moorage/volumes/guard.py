"""
Who may take an attachment away that a server uses (CVE-2023-2088): the service that made it, or an administrator.

A user who deletes the attachment of his server behind Compute's back leaves a device on the compute host that may show
somebody else's volume next.
"""

from collections.abc import Mapping
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Blocker
from moorage.volumes.errors import HeldByServer


def check(row: Mapping[str, Any], caller: Caller, no_compute: str) -> None:
    """
    Raise `HeldByServer` where a server uses the attachment and the caller is neither a service nor an administrator.
    """
    used = row["instance_uuid"] and row["connection"]
    if used and no_compute != "allow" and not (caller.is_service or caller.is_admin):
        raise HeldByServer(
            instance=row["instance_uuid"], blockers=(Blocker("attachment", row["id"], row["project_id"]),)
        )
