"""
A script for os-brick as it is: `python -m tests.clients.brick LOCKS BYTE`, with a connection_info on standard input.

It connects, reads a MiB, writes one of BYTE, disconnects, and prints the device's path and what was read first.
"""

import json
import sys

from os_brick.initiator.connector import InitiatorConnector
from oslo_concurrency import lockutils

from tests.drivers.loops import read, write


def main() -> None:
    """Do it."""
    lockutils.set_defaults(sys.argv[1])
    data = json.load(sys.stdin)
    connector = InitiatorConnector.factory(data.pop("driver_volume_type"), "sudo")
    device = connector.connect_volume(data)
    assert device["path"] in connector.get_volume_paths(data)
    was = read(device["path"])
    write(device["path"], sys.argv[2].encode())
    connector.disconnect_volume(data, device, force=True)
    print(json.dumps({"path": device["path"], "was": was[:1].decode(), "same": len(set(was)) == 1}))


if __name__ == "__main__":
    main()
