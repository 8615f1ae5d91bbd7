"""What can be configured of fetching from outside."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FetchSettings:
    """
    `[fetch]`: what users may have fetched for them (`web-download`, `http` locations), and within which limits. Of
    each pair of lists the allowed one wins: when it names anything, only that is open, and the denied one is not read.
    """

    allowed_schemes: tuple[str, ...] = ("http", "https")  #: schemes that are open
    denied_schemes: tuple[str, ...] = ()  #: schemes that are closed
    allowed_hosts: tuple[str, ...] = ()  #: hosts that are open, as they stand in a URL; `.example.org` means all below
    denied_hosts: tuple[str, ...] = ()  #: hosts that are closed
    allowed_ports: tuple[int, ...] = (80, 443)  #: ports that are open
    denied_ports: tuple[int, ...] = ()  #: ports that are closed
    allowed_networks: tuple[str, ...] = ()  #: networks that are open although private or in `denied_networks`
    denied_networks: tuple[str, ...] = ()  #: networks that are closed besides all that are not public
    redirects: int = 5  #: redirects that are followed, each checked like the first address
    connect_timeout_s: float = 10.0  #: seconds for finding an address, and again for connecting to it
    idle_timeout_s: float = 60.0  #: seconds without a byte after which a source is given up
    time_limit_s: float = 86400.0  #: seconds that one fetch may take
    header_limit_bytes: int = 65536  #: bytes that the head of an answer may have
    ca_file: str = ""  #: certificates of authorities to trust for https; default: the system's
