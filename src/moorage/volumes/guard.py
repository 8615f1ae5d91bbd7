"""
Who may take an attachment away that a server uses (CVE-2023-2088): the service that made it, or an administrator.

A user who deletes the attachment of his server behind Compute's back leaves a device on the compute host that may show
somebody else's volume next. A service is known by its service token; its user without one is a user. What os-attach
made is not Compute's, which has asked for attachments by name for years.
"""

from collections.abc import Mapping
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Blocker
from moorage.volumes.errors import HeldByServer


def passes(caller: Caller) -> bool:
    """Whether the caller may take away what a server uses."""
    return caller.is_admin or "service" in caller.service_roles


def check(row: Mapping[str, Any], caller: Caller, no_compute: str) -> None:
    """
    Raise `HeldByServer` where a server uses the attachment and the caller is neither a service nor an administrator.
    """
    used = row["instance_uuid"] and row["connection"] and not row["origin"]
    if used and no_compute != "allow" and not passes(caller):
        raise HeldByServer(
            instance=row["instance_uuid"], blockers=(Blocker("attachment", row["id"], row["project_id"]),)
        )
