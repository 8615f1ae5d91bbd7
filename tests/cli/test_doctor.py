"""`moorage doctor`: its exit status is the truth, with the server up and without it."""

import json
import os
import signal

import pytest

from moorage.core.ids import new_uuid
from moorage.drivers.connectors import machine
from tests.cli.host import Host

pytestmark = pytest.mark.root


def test_a_host_in_order_is_called_so(host: Host) -> None:
    host.server.volume("fine")
    said = host.run("doctor")
    assert "qemu-storage-daemon" in said
    assert "Moorage runs on the state in" in said
    assert "ok       rows, daemons, doors, devices, bytes and operations agree" in said


@pytest.mark.parametrize("up", [True, False], ids=["online", "offline"])
def test_what_is_wrong_is_said_and_repaired_when_asked_for(host: Host, up: bool) -> None:
    orphan = host.state / "volumes" / new_uuid() / f"{new_uuid()}-1"
    orphan.parent.mkdir()
    orphan.write_bytes(bytes(4096))
    if not up:
        host.server.end()
    try:
        said = host.run("doctor", status=1)
        assert f"{orphan.parent.name}/{orphan.name} in files belong to no volume. --fix: delete them." in said
        assert orphan.exists()
        assert "repaired The bytes" in host.run("doctor", "--fix")
        assert not orphan.exists()
        assert json.loads(host.run("doctor", "--json"))["findings"] == []
    finally:
        if not up:
            host.server = type(host.server)(host.state).ready()


def test_a_device_left_by_a_kill_of_everything_is_removed(host: Host) -> None:
    volume = host.server.volume("left")
    host.run("attach", "left")
    host.server.kill()
    for server in machine.programs("nbdfuse"):
        if any(str(host.place.sockets) in word for word in server.words):
            os.kill(server.identity.pid, signal.SIGKILL)
    said = host.run("doctor", status=1)
    assert "is dead" in said
    assert "repaired" in host.run("doctor", "--fix")
    assert host.left() == []
    host.run("doctor")
    host.server = type(host.server)(host.state).ready()
    (attachment,) = host.attachments(volume)
    assert attachment["status"] == "error_attaching"
    host.run("detach", "left")
    assert host.attachments(volume) == []


def test_nothing_is_wrong_where_nothing_is(host: Host) -> None:
    assert "Nothing of Moorage is in" in host.run("doctor", "--state", f"/tmp/{new_uuid()}")
