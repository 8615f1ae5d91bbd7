"""`openstack volume attachment ...`, which asks Compute for the server and cannot say that a host speaks NBD."""

import json
from typing import Any

import pytest
from openstack.connection import Connection
from openstackclient import shell

from tests.cli.host import Host
from tests.clients.conftest import HERE, said
from tests.drivers.loops import read, write

pytestmark = pytest.mark.root

SERVER = "11111111-1111-4111-8111-111111111111"
PLACE = ["--host", HERE, "--ip", "127.0.0.1", "--platform", "x86_64", "--os-type", "linux", "--no-multipath"]


def run(*words: str, status: int = 0) -> str:
    cloud = ["--os-cloud", "moorage-admin", "--os-volume-api-version", "3.71"]
    return said(shell.main, [*cloud, "volume", "attachment", *words], status)


def told(*words: str) -> dict[str, Any]:
    """What a command says as JSON; its keys are its columns."""
    answer: dict[str, Any] = json.loads(run(*words, "-f", "json"))
    return answer


@pytest.mark.usefixtures("catalog")
def test_the_life_of_an_attachment(host: Host, admin: Connection, volume: str) -> None:
    made = told("create", volume, SERVER, "--mode", "rw")
    id = made["ID"]
    assert (made["Volume ID"], made["Instance ID"], made["Status"]) == (volume, SERVER, "reserved")
    connected = told("set", id, *PLACE, "--mountpoint", "/dev/vdb")
    path = connected["Properties"]["device_path"]
    assert connected["Status"] == "attaching" and connected["Properties"]["driver_volume_type"] == "local"
    write(path, b"o")
    run("complete", id)
    shown = told("show", id)
    assert (shown["Status"], shown["Attach Mode"], shown["Properties"]["device_path"]) == ("attached", "rw", path)
    (listed,) = json.loads(run("list", "--volume-id", volume, "-f", "json"))
    assert (listed["ID"], listed["Volume ID"], listed["Server ID"], listed["Status"]) == (
        id,
        volume,
        SERVER,
        "attached",
    )
    assert admin.block_storage.get_volume(volume).status == "in-use"
    run("delete", id)
    assert admin.block_storage.get_volume(volume).status == "available" and host.left() == []
    assert f"attachment_id = {id}" in run("show", id, status=1)


@pytest.mark.usefixtures("catalog")
def test_one_that_is_connected_as_it_is_made(host: Host, volume: str) -> None:
    made = told("create", volume, SERVER, "--connect", *PLACE, "--mode", "ro")
    path = made["Properties"]["device_path"]
    assert (made["Status"], made["Attach Mode"], made["Properties"]["access_mode"]) == ("attaching", "ro", "ro")
    assert read(path) == bytes(1 << 20)
    with pytest.raises(OSError):
        write(path, b"x")
    assert "current status is attaching" in run("create", volume, SERVER.replace("1", "2"), status=1)
    run("delete", made["ID"])
    assert "offers nbd" in run("create", volume, SERVER, "--connect", "--host", "elsewhere", status=1)
    assert host.left() == []
