"""os-brick, as it is: it connects and disconnects what the attachment calls tell it, and the device is a real one."""

import json
import subprocess
import sys
from typing import Any

import pytest
from openstack.connection import Connection

from tests.cli.host import Host
from tests.clients.conftest import HERE
from tests.drivers.loops import read, write

pytestmark = pytest.mark.root

#: What os-brick says of this host, but for what it needs other storages' programs to find out.
BRICK = {"platform": "x86_64", "os_type": "linux", "ip": "127.0.0.1", "host": HERE, "multipath": False}


def brick(host: Host, info: dict[str, Any], byte: str) -> dict[str, Any]:
    """What the script tells of a connection, used and ended."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.clients.brick", str(host.state), byte]
    done = subprocess.run(command, input=json.dumps(info), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_local_connections(host: Host, admin: Connection, volume: str) -> None:
    storage, was = admin.block_storage, "\0"
    for byte in ("1", "2"):
        attachment = storage.create_attachment(volume, connector=None)
        updated = storage.update_attachment(attachment, connector={**BRICK, "mountpoint": "glance_store"})
        assert updated.connection_info["driver_volume_type"] == "local"
        told = brick(host, updated.connection_info, byte)
        assert told == {"path": updated.connection_info["device_path"], "was": was, "same": True}
        storage.complete_attachment(attachment)
        assert host.left() != []  # os-brick leaves a local device to whoever gave it
        storage.delete_attachment(attachment)
        assert host.left() == [] and storage.get_volume(volume).status == "available"
        was = byte


def test_two_connections_of_one_volume_have_a_device_each(host: Host, admin: Connection) -> None:
    storage = admin.block_storage
    made = storage.create_volume(size=1, volume_type="multiattach")
    storage.wait_for_status(made, "available", interval=0.05)
    one, two = (storage.create_attachment(made.id, connector=BRICK) for _ in range(2))
    first, second = (claim.connection_info["device_path"] for claim in (one, two))
    assert first != second
    write(first, b"a")
    storage.delete_attachment(one)
    assert read(second) == b"a" * (1 << 20)
    storage.delete_attachment(two)
    storage.delete_volume(made)
    storage.wait_for_delete(made, interval=0.05)
    assert host.left() == []
