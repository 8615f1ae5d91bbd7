"""
The guard: which addresses may be asked at all, and to which network addresses a connection may be made.

A name is resolved once for each request, every answer is checked, and the connection goes to one of those answers:
whoever owns the name cannot put another one in between.
"""

import socket
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from ipaddress import ip_address

from moorage.drivers.fetch import addresses
from moorage.drivers.fetch.settings import FetchSettings
from moorage.drivers.fetch.target import Target, take_apart
from moorage.images.imports.fetch import SourceRefused

RESOLVERS = 64  #: names looked up at once: a resolver has no time limit, and slow names are to keep no others waiting

#: The network addresses of a name. Raises `OSError` where there are none.
Resolve = Callable[[str, int], Sequence[str]]


@dataclass(frozen=True)
class Admitted:
    """A target, and the only network addresses that a connection to it may go to."""

    target: Target
    addresses: tuple[str, ...]


class Guard:
    """Admits what the settings open."""

    def __init__(self, settings: FetchSettings, resolve: Resolve | None = None) -> None:
        self._settings, self._resolve = settings, resolve or system_resolve
        self._allowed, self._denied = (
            addresses.read(settings.allowed_networks),
            addresses.read(settings.denied_networks),
        )
        self._asking = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolve")

    def admit(self, url: str) -> Admitted:
        """The target that `url` names, resolved; `SourceRefused` unless all of it is open."""
        s, target = self._settings, take_apart(url)
        if not _listed(target.scheme, s.allowed_schemes, s.denied_schemes):
            raise SourceRefused(reason=f"the scheme {target.scheme[:32]} is not open.")
        if not _host_listed(target.host, s.allowed_hosts, s.denied_hosts):
            raise SourceRefused(reason=f"the host {target.host} is not open.")
        if not _listed(target.port, s.allowed_ports, s.denied_ports):
            raise SourceRefused(reason=f"the port {target.port} is not open.")
        found = (target.host,) if target.address is not None else self._found(target)
        for text in found:
            if not addresses.is_open(ip_address(text.partition("%")[0]), self._allowed, self._denied):
                raise SourceRefused(reason=f"the host {target.host} is in a network that is not open.")
        return Admitted(target, found)

    def _found(self, target: Target) -> tuple[str, ...]:
        asked = self._asking.submit(self._resolve, target.host, target.port)
        try:
            found = tuple(dict.fromkeys(asked.result(self._settings.connect_timeout_s)))
        except TookTooLong:
            asked.cancel()
            raise SourceRefused(reason=f"the address of the host {target.host} was not found in time.") from None
        except (OSError, UnicodeError):
            found = ()
        if not found:
            raise SourceRefused(reason=f"the host {target.host} has no address.")
        return found


def system_resolve(host: str, port: int) -> Sequence[str]:
    """What this machine's resolver says."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _listed(value: str | int, allowed: Collection[str | int], denied: Collection[str | int]) -> bool:
    return value in allowed if allowed else value not in denied


def _host_listed(host: str, allowed: Collection[str], denied: Collection[str]) -> bool:
    return _among(host, allowed) if allowed else not _among(host, denied)


def _among(host: str, listed: Collection[str]) -> bool:
    """Whether a list names the host, or with a leading dot a domain that it is below."""
    lowered = [entry.lower().strip("[]") for entry in listed]
    return host in lowered or any(entry.startswith(".") and host.endswith(entry) for entry in lowered)
