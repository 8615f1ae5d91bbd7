"""Doors: how the holder of an attachment may reach its export, by who asks and what his connector offers."""

from collections.abc import Mapping
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Refused
from moorage.volumes.backend import Door, Traits


class NoDoor(Refused):
    """The connector offers nothing that the backend can serve. It offers {offered}."""

    code = "attachment.no-door"


def door(
    connector: Mapping[str, Any], caller: Caller, host: str, *, local: bool = False, traits: Traits | None = None
) -> Door:
    """
    The door to a volume on `host` for `connector`. Who speaks NBD gets a gate: a unix socket for administrators and
    services on that host, TLS for everybody else, as a tenant's word about where he is proves nothing. Administrators,
    services and our own agent (`local`) who do not are given a block device of that host.
    """
    offered = traits.doors if traits is not None and traits.doors else frozenset(Door)
    chosen = _by_rule(connector, caller, host, local)
    if chosen is None or chosen not in offered:
        raise NoDoor(offered=_offer(offered, host if _trusted(caller, local) else None))
    return chosen


def _trusted(caller: Caller, local: bool) -> bool:
    return caller.is_admin or caller.is_service or local


def _by_rule(connector: Mapping[str, Any], caller: Caller, host: str, local: bool) -> Door | None:
    inside = _trusted(caller, local) and connector.get("host") == host
    if connector.get("moorage") is True and (local or caller.is_service):
        return Door.PRIVATE
    if connector.get("nbd") is True:
        return Door.SOCKET if inside else Door.TLS
    return Door.PRIVATE if inside else None


def _offer(doors: frozenset[Door], host: str | None) -> str:
    """What a connector may ask for; `host`, which is no tenant's business, only to those who may use it."""
    nbd = 'nbd, to a connector with "nbd": true' if doors & {Door.SOCKET, Door.TLS} else ""
    local = f'local, to a connector with "host": "{host}"' if host and Door.PRIVATE in doors else ""
    return "; ".join(filter(None, (nbd, local))) or "nothing"


def makes_device(claim: Mapping[str, Any]) -> bool:
    """Whether the holder of attachment `claim` gets a block device of its host, not only the daemon's socket."""
    return claim["door"] == Door.PRIVATE and (claim["connector"] or {}).get("moorage") is not True
