"""
Ports for servers that are told where to listen before they do: nobody else gets them in between.

The kernel gives no such port to an outgoing connection (they are below its range for these), and the workers of all
runs on the machine claim theirs by a name that the kernel forgets with the process.
"""

import collections
import random
import socket
from pathlib import Path

_CLAIMS = 128  #: how many of its latest ports a process goes on claiming
_claims: collections.deque[socket.socket] = collections.deque()


def free_port() -> int:
    """A port that nobody listens on, and that no other test is given meanwhile."""
    first, end = 10_000, int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    chance = random.SystemRandom()  # a test that seeds the common one gets no port twice
    while True:
        port = chance.randrange(*((first, end) if first < end else (end, 65536)))
        if _claimed(port):
            return port


def _claimed(port: int) -> bool:
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0moorage-test-port-{port}")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    if len(_claims) > _CLAIMS:
        _claims.popleft().close()
    return True
