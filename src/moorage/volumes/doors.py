"""Doors: how the holder of an attachment may reach its export, by who asks and what his connector offers."""

from collections.abc import Mapping
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Refused
from moorage.volumes.backend import Door, Traits


class NoDoor(Refused):
    """The connector offers nothing that the backend can serve; it needs `host`, or `nbd`: true. Offered: {offered}."""

    code = "attachment.no-door"


def door(
    connector: Mapping[str, Any], caller: Caller, host: str, *, local: bool = False, traits: Traits | None = None
) -> Door:
    """
    The door for `connector`. Administrators, services and our own agent get a gate on a unix socket of this host where
    they speak NBD, else a block device of it; others get TLS: a tenant's word about where he is proves nothing.
    """
    chosen = _by_rule(connector, caller, host, local)
    offered = traits.doors if traits is not None and traits.doors else frozenset(Door)
    if chosen is None or chosen not in offered:
        raise NoDoor(offered=", ".join(sorted(str(one) for one in offered)))
    return chosen


def _by_rule(connector: Mapping[str, Any], caller: Caller, host: str, local: bool) -> Door | None:
    trusted = caller.is_admin or caller.is_service or local
    here = connector.get("host") == host
    if connector.get("moorage") is True and (local or caller.is_service):
        return Door.PRIVATE
    if connector.get("nbd") is True:
        return Door.SOCKET if trusted and here else Door.TLS
    if trusted and here:
        return Door.PRIVATE
    if connector.get("local") is True:
        return None
    return Door.TLS if isinstance(connector.get("host"), str) and connector["host"] else None


def makes_device(claim: Mapping[str, Any]) -> bool:
    """Whether the holder of attachment `claim` gets a block device of this host, not only the daemon's socket."""
    return claim["door"] == Door.PRIVATE and (claim["connector"] or {}).get("moorage") is not True
