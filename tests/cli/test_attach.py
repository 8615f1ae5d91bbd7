"""`moorage attach`, `detach`, `status` and `why` as they are typed, against a real server, with real block devices."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from moorage.cli.attach import attach
from moorage.client.volumes import Volumes
from tests.cli.host import Host
from tests.drivers.loops import MIB, read, run, write

pytestmark = pytest.mark.root


def test_a_volume_becomes_a_device_and_is_taken_away_again(host: Host) -> None:
    volume = host.server.volume("plain")
    device = host.run("attach", "plain")
    assert re.fullmatch(r"/dev/loop\d+", device)
    write(device, b"p", 5)
    (attachment,) = host.attachments(volume)
    assert (attachment["status"], attachment["attach_mode"]) == ("attached", "rw")
    assert host.run("detach", "plain") == f"detached {device}"
    assert (host.attachments(volume), host.left()) == ([], [])
    assert read(host.run("attach", volume), 5) == b"p" * MIB
    host.run("detach", host.attachments(volume)[0]["id"])


def test_status_and_why_say_what_there_is(host: Host) -> None:
    volume = host.server.volume("shown")
    device = host.run("attach", "shown", "--mountpoint", "/srv/shown")
    (attachment,) = host.attachments(volume)
    status = json.loads(host.run("status", "--json"))
    mine = next(one for one in status["attachments"] if one["id"] == attachment["id"])
    assert (mine["device"]["path"], mine["mountpoint"], mine["state"]) == (device, "/srv/shown", "attached")
    assert f"{device}  rw  attached  volume {volume}" in host.run("status")
    assert f"in the way attachment {attachment['id']}: attached (rw) on host" in host.run("why", "volume", "shown")
    assert json.loads(host.run("why", "attachment", attachment["id"], "--json"))["state"] == "attached"
    assert "There is no image" in host.run("why", "image", volume, status=1)
    assert "0 images are called shown" in host.run("why", "image", "shown", status=1)
    told = [json.loads(line) for line in host.run("events", "--id", attachment["id"], "--json").splitlines()]
    assert (told[0]["what"], told[-1]["what"]) == ("attachment.reserved", "attachment.attached")
    since = host.run("events", "--since", str(told[0]["id"]), "--kind", "attachment", "--id", attachment["id"])
    assert len(since.splitlines()) == len(told) - 1
    assert host.run("detach", device) == f"detached {device}"


def test_a_mounted_device_is_taken_away_only_by_force(host: Host, tmp_path: Path) -> None:
    host.server.volume("mounted")
    device = host.run("attach", "mounted")
    run("mkfs.ext4", "-q", device)
    run("mount", device, str(tmp_path))
    (tmp_path / "file").write_text("kept")
    assert f"{device} is mounted on {tmp_path}" in host.run("detach", "mounted", status=1)
    assert os.path.ismount(tmp_path)
    host.run("detach", "mounted", "--force")
    assert not os.path.ismount(tmp_path)
    run("mount", host.run("attach", "mounted"), str(tmp_path))
    assert (tmp_path / "file").read_text() == "kept"
    run("umount", str(tmp_path))
    host.run("detach", "mounted")


def test_two_devices_of_one_volume_and_the_question_which_one(host: Host) -> None:
    volume = host.shared("pair")
    writer, reader = host.run("attach", "pair"), host.run("attach", "pair", "--mode", "ro")
    with pytest.raises(OSError):
        write(reader, b"r")
    write(writer, b"w")
    assert read(reader) == b"w" * MIB
    said = host.run("detach", "pair", status=1)
    assert all(word in said for word in (writer, reader, "2 attachments", *[a["id"] for a in host.attachments(volume)]))
    host.run("detach", reader)
    write(writer, b"x")
    host.run("detach", "pair")
    assert host.left() == []


def test_a_volume_that_is_taken_is_refused_and_it_is_said_by_whom(host: Host) -> None:
    volume = host.server.volume("taken")
    host.run("attach", "taken")
    (attachment,) = host.attachments(volume)
    assert attachment["id"] in host.run("attach", "taken", status=1)
    assert host.attachments(volume) == [attachment]
    host.run("detach", "taken")


def test_what_is_not_there_is_said_to_be_so(host: Host, tmp_path: Path) -> None:
    host.server.volume("known")
    assert "There is no volume nosuch." in host.run("attach", "nosuch", status=1)
    assert "Volume known is not attached." in host.run("detach", "known", status=1)
    assert "/dev/sda is not a device" in host.run("detach", "/dev/sda", status=1)
    assert "has no cloud elsewhere" in host.run("status", "--os-cloud", "elsewhere", "--state", str(tmp_path), status=1)
    assert "Is Moorage running here" in host.run("attach", "known", "--state", str(tmp_path), status=1)
    assert host.attachments(host.server.volume("other")) == []


def test_an_attach_that_fails_leaves_no_attachment(host: Host) -> None:
    volume = host.server.volume("failing")
    directory = host.place.sockets / "dev"
    directory.mkdir(mode=0o700, exist_ok=True)  # nobody may have attached anything yet
    directory.rename(directory.with_name("away"))
    directory.write_text("in the way")
    try:
        host.run("attach", "failing", status=1)
    finally:
        directory.unlink()
        directory.with_name("away").rename(directory)
    assert host.attachments(volume) == []
    host.server.until(f"/volume/v3/volumes/{volume}", "available")


@pytest.mark.slow
def test_an_attach_that_is_interrupted_leaves_no_attachment(host: Host) -> None:
    volume = host.server.volume("interrupted")
    for after_ms in range(200, 1000, 100):
        process = host.start("attach", "interrupted")
        time.sleep(after_ms / 1000)
        process.terminate()
        said, _ = process.communicate(timeout=60)
        if said.startswith("/dev/"):
            host.run("detach", "interrupted")
        assert [a["status"] for a in host.attachments(volume)] == []
    assert host.left() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interruption_before_the_reservation_is_answered_leaves_no_attachment(
    host: Host, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    volume, reserve = host.server.volume("unanswered"), Volumes.reserve

    def interrupted(self: Volumes, id: str, mode: str) -> str:
        made = reserve(self, id, mode)
        os.kill(os.getpid(), number)
        return made

    monkeypatch.setattr(Volumes, "reserve", interrupted)
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        result = CliRunner().invoke(attach, [volume], env=host.environment)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert result.exit_code != 0
    assert host.attachments(volume) == []


@pytest.mark.slow
def test_eight_processes_attach_and_detach_at_once(host: Host) -> None:
    volumes = [host.server.volume(f"own-{n}") for n in range(4)] + [host.shared("crowded")] * 4
    script = (
        'for cycle in 1 2 3 4 5; do device=$("$PYTHON" -m moorage attach "$0") || exit 1; '
        'head -c 4096 /dev/urandom >"$device" || exit 2; "$PYTHON" -m moorage detach "$device" || exit 3; done'
    )
    environment = {**host.environment, "PYTHON": sys.executable}
    quiet = subprocess.DEVNULL
    crowd = [subprocess.Popen(["sh", "-c", script, volume], env=environment, stdout=quiet) for volume in volumes]
    assert [process.wait(240) for process in crowd] == [0] * 8
    assert [host.attachments(volume) for volume in volumes] == [[]] * 8
    assert host.left() == []
    host.run("doctor")


@pytest.mark.slow
@pytest.mark.parametrize("after_ms", [250, 350, 450, 600])
def test_a_server_killed_in_the_middle_is_succeeded_by_one_that_settles_it(host: Host, after_ms: int) -> None:
    volume = host.server.volume("cut off")
    process = host.start("attach", volume)
    time.sleep(after_ms / 1000)
    host.server.popen.send_signal(signal.SIGKILL)
    host.server.popen.wait()
    process.communicate(timeout=120)
    host.server = type(host.server)(host.state).ready()
    host.settled(volume)
    for attachment in host.attachments(volume):
        host.run("detach", attachment["id"], "--force")
    host.server.until(f"/volume/v3/volumes/{volume}", "available")
    assert host.left() == []
    host.run("doctor")
