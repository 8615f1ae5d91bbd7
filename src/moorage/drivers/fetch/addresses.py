"""
Which network addresses lead out into the public network. Everything else is closed, unless the configuration opens it:
this machine, its neighbours, private networks, clouds' metadata, and whatever carries such an address inside.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from moorage.core.errors import Problem

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# fmt: off
_CLOSED = tuple(map(ip_network, (
    # network            what is there
    "0.0.0.0/8",         # this machine
    "10.0.0.0/8",        # private
    "100.64.0.0/10",     # private to a provider; a cloud's metadata
    "127.0.0.0/8",       # this machine
    "168.63.129.16/32",  # a cloud's metadata
    "169.254.0.0/16",    # neighbours; clouds' metadata
    "172.16.0.0/12",     # private
    "192.0.0.0/24",      # protocols; a cloud's metadata
    "192.0.2.0/24",      # documentation
    "192.88.99.0/24",    # relays to 6to4
    "192.168.0.0/16",    # private
    "198.18.0.0/15",     # benchmarks
    "198.51.100.0/24",   # documentation
    "203.0.113.0/24",    # documentation
    "224.0.0.0/4",       # many at once
    "240.0.0.0/4",       # reserved; everybody
    "2001::/23",         # protocols; Teredo
    "2001:db8::/32",     # documentation
    "2002::/16",         # 6to4: an IPv4 address inside
    "3fff::/20",         # documentation
)))
# fmt: on
_PUBLIC_6 = IPv6Network(
    "2000::/3"
)  #: all that is given out; the rest is local, special, or an IPv4 address in disguise
_NAT64 = IPv6Network("64:ff9b::/96")
_LAST_32 = (1 << 32) - 1


class NetworkMalformed(Problem):
    """The configuration is wrong: {text} in [fetch] is no network such as 10.0.0.0/8."""

    code = "fetch.network-malformed"


def read(networks: Iterable[str]) -> tuple[Network, ...]:
    """The networks that these texts name; a bare address is a network of one."""
    return tuple(map(_network, networks))


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise NetworkMalformed(text=text) from None


def is_open(address: Address, allowed: Iterable[Network] = (), denied: Iterable[Network] = ()) -> bool:
    """Whether `address`, and any that it carries inside, is allowed, or else public and not denied."""
    return all(_is_open(each, allowed, denied) for each in (address, *_inside(address)))


def _is_open(address: Address, allowed: Iterable[Network], denied: Iterable[Network]) -> bool:
    if any(address in network for network in allowed):
        return True
    public = address in _PUBLIC_6 if isinstance(address, IPv6Address) else True
    return public and not any(address in network for network in (*_CLOSED, *denied))


def _inside(address: Address) -> Iterator[Address]:
    """The IPv4 addresses that a gateway, or this machine, would make of an IPv6 one."""
    if isinstance(address, IPv6Address):
        for carried in (address.ipv4_mapped, address.sixtofour, *(address.teredo or ())):
            if carried is not None:
                yield carried
        if address in _NAT64 or 1 << 16 <= int(address) <= _LAST_32:
            yield IPv4Address(int(address) & _LAST_32)
