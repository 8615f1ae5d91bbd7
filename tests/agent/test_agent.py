"""A host elsewhere: its agent renews what it holds; cut off or stopped it is fenced, and cannot write ever after."""

import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.machines import Machines
from tests.drivers.loops import MIB, read, write
from tests.drivers.plane import arguments, running
from tests.server import Process

pytestmark = pytest.mark.root


@pytest.fixture
def machines(state_dir: Path, request: pytest.FixtureRequest) -> Iterator[Machines]:
    with tempfile.TemporaryDirectory(prefix="moor-", dir="/tmp") as there:
        made = Machines(state_dir, Path(there) / "s", lease_s=getattr(request, "param", 3))
        try:
            yield made
        finally:
            made.close()


def writes(device: str, data: bytes, at: int = 0) -> bool:
    """Whether it could be written and made durable."""
    try:
        fd = os.open(device, os.O_RDWR | os.O_DSYNC)
    except OSError:
        return False
    try:
        return os.pwrite(fd, data * 4096, at * MIB) == 4096
    except OSError:
        return False
    finally:
        os.close(fd)


def test_a_device_of_a_volume_elsewhere_is_leased_and_renewed(machines: Machines) -> None:
    volume = machines.here.server.volume("data")
    device = machines.run("attach", "data")
    write(device, b"x")
    (row,) = machines.attachments(volume)
    assert row["status"] == "attached"
    lease = machines.own(f"/attachments/{row['id']}")["attachment"]["lease"]
    machines.until(lambda: machines.own(f"/attachments/{row['id']}")["attachment"]["lease"]["until"] > lease["until"])
    listed = machines.own("/hosts/compute1/leases")["leases"]
    assert [one["attachment"] for one in listed] == [row["id"]]
    host = machines.own("/hosts/compute1")["host"]
    assert (host["registered"], host["devices"][row["id"]]["path"]) == (True, device)
    kept = machines.there.keys / "host.json"
    secret = json.loads(kept.read_text())["secret"]
    assert kept.stat().st_mode & 0o777 == 0o600
    key = machines.here.server.call("GET", f"/volume/v3/attachments/{row['id']}").json["attachment"]["connection_info"]
    for pid in running():
        seen = arguments(pid)
        assert secret not in seen and key["tls_psk"] not in seen
    assert list((machines.there.sockets / "psk").iterdir()) == []
    assert f"{device}  rw  attachment {row['id']}" in machines.run("status")
    assert "heartbeats: heard; devices: 1" in machines.run("doctor", status=None)  # what is installed is not the point
    assert f"detached {device}" in machines.run("detach", "data")
    assert machines.attachments(volume) == [] and machines.devices() == []


@pytest.mark.parametrize("how", ["cut off", "stopped"])
def test_who_is_not_heard_is_fenced_and_cannot_write_when_he_comes_back(machines: Machines, how: str) -> None:
    volume = machines.here.server.volume("data")
    device = machines.run("attach", "data")
    write(device, b"a")
    (row,) = machines.attachments(volume)
    if how == "stopped":
        os.kill(machines.agent.pid, signal.SIGSTOP)
    else:
        machines.network.cut = True
    machines.until(lambda: machines.attachments(volume) == [])
    assert not writes(device, b"b")
    shown = machines.own(f"/attachments/{row['id']}")["attachment"]
    assert (shown["state"], "lease of 3 s lapsed" in shown["problem"]) == ("detached", True)
    next_holder = machines.here.run("attach", "data")  # on the host that has the volumes
    assert read(next_holder) == b"a" * MIB
    if how == "stopped":
        assert not writes(device, b"b")
        os.kill(machines.agent.pid, signal.SIGCONT)
    machines.until(lambda: machines.devices() == [])  # by itself where it is cut off; told where it comes back
    machines.network.cut = False
    write(next_holder, b"c", 1)
    assert (read(next_holder), read(next_holder, 1)) == (b"a" * MIB, b"c" * MIB)
    machines.here.run("detach", "data")


@pytest.mark.parametrize("machines", [60], indirect=True)
def test_devices_outlive_their_agent_and_the_next_one_goes_on_with_them(machines: Machines) -> None:
    volume = machines.here.server.volume("data")
    device = machines.run("attach", "data")
    machines.agent.kill()
    machines.agent.wait()
    write(device, b"x")
    machines.agent = machines.start_agent()  # with the secret that is kept
    (row,) = machines.attachments(volume)
    lease = machines.own(f"/attachments/{row['id']}")["attachment"]["lease"]
    machines.until(lambda: machines.own(f"/attachments/{row['id']}")["attachment"]["lease"]["until"] > lease["until"])
    write(device, b"y")
    machines.run("detach", "data")


def test_a_control_plane_that_was_away_fences_nobody_and_its_hosts_go_on(machines: Machines) -> None:
    volume = machines.here.server.volume("data")
    device = machines.run("attach", "data")
    (row,) = machines.attachments(volume)
    port = machines.here.server.port
    machines.here.server.kill()
    machines.here.server.log.unlink()
    time.sleep(machines.lease_s + 1)
    write(device, b"x")
    machines.here.server = Process(machines.here.state, port=port).ready()
    lease = machines.own(f"/attachments/{row['id']}")["attachment"]["lease"]
    machines.until(lambda: machines.own(f"/attachments/{row['id']}")["attachment"]["lease"]["until"] > lease["until"])
    write(device, b"y", 1)
    assert (read(device), read(device, 1)) == (b"x" * MIB, b"y" * MIB)
    machines.run("detach", "data")


def test_down_stops_the_agent_and_removes_its_devices_and_what_it_held_lapses(machines: Machines) -> None:
    volume = machines.here.server.volume("data")
    device = machines.run("attach", "data")
    said = machines.run("down")
    assert f"removing device {device}" in said and "lapse with their leases" in said
    machines.agent.wait(20)
    assert machines.devices() == [] and not (machines.there.state / "moorage.db").exists()
    machines.until(lambda: machines.attachments(volume) == [])
