"""
An address taken apart, once, by rules that leave no room for two readings.

Whoever checks it and whoever connects use the same parts, so that there is nothing to slip through between them. Hosts
that some readers take for numbers (octal, hexadecimal, short, one integer) are no addresses here.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from moorage.images.imports.fetch import SourceRefused

LONGEST = 2048
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?![0-9])")  # a port is no scheme's path: "localhost:8080/x" has none
_URL = re.compile(r"[A-Za-z]+://([^/?#]*)([^#]*)(?:#.*)?")
_PLAIN = re.compile(r"[\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]+")  # printable, without "<>\^`{|} and space
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST_HOST = 253
PORTS = {"http": 80, "https": 443}  #: of the schemes that there is a client for, if no other is named


@dataclass(frozen=True)
class Target:
    """Where a request goes."""

    scheme: str
    host: str  #: a name, or an address without brackets
    port: int
    path: str  #: with its query
    address: IPv4Address | IPv6Address | None  #: when the host is one

    @property
    def authority(self) -> str:
        """The value of the header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if PORTS[self.scheme] == self.port else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address again, plainly written."""
        return f"{self.scheme}://{self.authority}{self.path}"


def take_apart(url: str) -> Target:
    """The parts of `url`, or a refusal that says what is odd about it."""
    if len(url) > LONGEST:
        raise SourceRefused(reason=f"it is longer than {LONGEST} characters.")
    scheme = (_SCHEME.match(url) or [""])[0].lower().removesuffix(":")
    if scheme and scheme not in PORTS:
        raise SourceRefused(reason=f"the scheme {scheme[:32]} is not open.")
    found = _URL.fullmatch(url)
    if not found or not _PLAIN.fullmatch(url):
        raise SourceRefused(reason="it is not a plain URL with scheme and host.")
    authority, path = found[1], found[2]
    if "@" in authority:
        raise SourceRefused(reason="it holds credentials.")
    parts = _AUTHORITY.fullmatch(authority)
    if not parts:
        raise SourceRefused(reason="its host or port is malformed.")
    port = int(parts[2]) if parts[2] else PORTS[scheme]
    if not 0 < port < 1 << 16:
        raise SourceRefused(reason="it has no valid port.")
    host, address = _host(parts[1].lower())
    return Target(scheme, host, port, path if path.startswith("/") else "/" + path, address)


def _host(text: str) -> tuple[str, IPv4Address | IPv6Address | None]:
    if text.startswith("["):
        try:
            address = IPv6Address(text[1:-1])
        except ValueError:
            raise SourceRefused(reason="its host is malformed.") from None
        return str(address), address
    labels = text.split(".")
    if _NUMBER.fullmatch(labels[-1]):  # some reader would take it for a number
        return text, _dotted(text)
    if len(text) > _LONGEST_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise SourceRefused(reason="its host is malformed.")
    return text, None


def _dotted(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise SourceRefused(reason="its host is a number that is not written as an address.") from None
