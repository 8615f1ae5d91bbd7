"""cinderclient: its command's attachments, and the calls that name none."""

from collections.abc import Iterator
from typing import Any

import pytest
from cinderclient import client, shell
from cinderclient.exceptions import BadRequest

from tests.cli.host import Host
from tests.clients.conftest import HERE, account, said
from tests.drivers.loops import read, write

pytestmark = pytest.mark.root

SERVER = "11111111-1111-4111-8111-111111111111"
BRICK = {"host": HERE, "ip": "127.0.0.1", "platform": "x86_64", "os_type": "linux", "multipath": False}


@pytest.fixture
def run(host: Host) -> Any:
    auth = account(host)
    words = ["--os-volume-api-version", "3.71"]
    for name in ("auth_url", "username", "password", "project_name", "user_domain_name", "project_domain_name"):
        words += [f"--os-{name.replace('_', '-')}", auth.get(name, "Default")]
    return lambda *more, status=0: said(lambda argv: shell.OpenStackCinderShell().main(argv), [*words, *more], status)


@pytest.fixture(params=["3.0", "3.44"])
def cinder(host: Host, request: pytest.FixtureRequest) -> Iterator[Any]:
    auth = account(host)
    domains = {"user_domain_name": "Default", "project_domain_name": "Default"}
    yield client.Client(
        request.param, auth["username"], auth["password"], auth["project_name"], auth_url=auth["auth_url"], **domains
    )


def cell(table: str, name: str) -> str:
    """A value of a table of properties."""
    rows = [line.split("|") for line in table.splitlines() if line.startswith("|")]
    return next(row[2].strip() for row in rows if row[1].strip() == name)


def test_the_commands_of_attachments(host: Host, run: Any, volume: str) -> None:
    id = cell(run("attachment-create", volume, SERVER, "--mode", "rw"), "id")
    assert cell(run("attachment-show", id), "status") == "reserved"
    place = ["--host", HERE, "--ip", "127.0.0.1", "--platform", "x86_64", "--ostype", "linux", "--multipath", "false"]
    path = cell(run("attachment-update", id, *place, "--mountpoint", "/dev/vdb"), "device_path")
    write(path, b"c")
    run("attachment-complete", id)
    table = run("attachment-list", "--volume-id", volume)
    assert id in table and "attached" in table and SERVER in table
    assert cell(run("show", volume), "status") == "in-use"
    run("attachment-delete", id)
    assert cell(run("show", volume), "status") == "available" and host.left() == []
    again = run("attachment-create", volume, SERVER, "--connect", "True", "--mode", "ro", *place)
    assert read(cell(again, "device_path")) == b"c" * (1 << 20)
    run("attachment-delete", cell(again, "id"))


def test_the_old_calls(host: Host, cinder: Any, volume: str) -> None:
    volumes = cinder.volumes

    def status() -> str:
        return str(volumes.get(volume).status)

    volumes.reserve(volume)
    assert status() == "attaching"
    with pytest.raises(BadRequest, match="status must be available to reserve, but the status is attaching"):
        volumes.reserve(volume)
    volumes.unreserve(volume)
    assert status() == "available"
    volumes.reserve(volume)
    info = volumes.initialize_connection(volume, BRICK)
    assert info["driver_volume_type"] == "local"
    write(info["data"]["device_path"], b"i")
    volumes.attach(volume, SERVER, "/dev/vdb", mode="rw")
    (attached,) = volumes.get(volume).attachments
    assert (attached["server_id"], attached["host_name"], status()) == (SERVER, HERE, "in-use")
    volumes.begin_detaching(volume)
    assert status() == "detaching"
    volumes.roll_detaching(volume)
    assert status() == "in-use" and read(info["data"]["device_path"]) == b"i" * (1 << 20)
    volumes.begin_detaching(volume)
    volumes.terminate_connection(volume, BRICK)
    assert host.left() == []
    volumes.detach(volume, attached["attachment_id"])
    assert status() == "available"
    volumes.attach(volume, None, "/mnt", mode="ro", host_name=HERE)
    assert volumes.get(volume).attachments[0]["host_name"] == HERE
    volumes.detach(volume)
    assert status() == "available"
