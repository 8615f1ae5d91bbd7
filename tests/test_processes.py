"""Whole processes: started, asked, stopped, killed, succeeded. What they promise whoever runs them."""

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from moorage.database.locks import started
from moorage.volumes.backend import Connection
from tests import postgres
from tests.drivers.clients import ClientError, client
from tests.server import Process, down, moorage


@pytest.fixture
def state(state_dir: Path) -> Iterator[Path]:
    yield state_dir
    down(state_dir)


def daemons(state: Path) -> list[int]:
    """The pids of the storage daemons of a state directory that are alive."""
    found = [json.loads(path.read_text())["process"]["pid"] for path in (state / "run/daemons").glob("*.json")]
    return [pid for pid in found if started(pid) is not None]


def test_sigterm_stops_the_control_plane_and_the_next_start_adopts_what_runs(state: Path) -> None:
    first = Process(state).ready()
    volume = first.volume()
    attachment = first.attach(volume)
    before = daemons(state)
    assert len(before) == 1
    assert first.end() == 0
    assert daemons(state) == before
    second = Process(state).ready()
    shown = second.call("GET", f"/volume/v3/volumes/{volume}").json["volume"]
    assert shown["status"] == "in-use"
    assert [a["attachment_id"] for a in shown["attachments"]] == [attachment]
    assert second.call("DELETE", f"/volume/v3/attachments/{attachment}").status == 200
    assert daemons(state) == []


def test_a_killed_process_is_succeeded_by_the_next_one(state: Path) -> None:
    first = Process(state).ready()
    volume = first.volume()
    attachment = first.attach(volume)
    first.kill()
    second = Process(state).ready()
    assert second.call("DELETE", f"/volume/v3/attachments/{attachment}").status == 200
    second.until(f"/volume/v3/volumes/{volume}", "available")
    assert second.call("DELETE", f"/volume/v3/volumes/{volume}").status == 202


def test_more_api_processes_serve_the_same_cloud_and_leave_the_host_to_its_holder(state: Path) -> None:
    up = Process(state).ready()
    api = Process(state, "api").ready()
    volume = api.volume("made by the second")
    attachment = api.attach(volume)
    assert up.call("GET", f"/volume/v3/attachments/{attachment}").json["attachment"]["status"] == "attached"
    assert up.call("DELETE", f"/volume/v3/attachments/{attachment}").status == 200
    assert api.call("GET", f"/volume/v3/volumes/{volume}").json["volume"]["status"] == "available"
    assert api.end() == 0


def test_api_worker_and_host_together_are_one_up(state: Path) -> None:
    host = Process(state, "host").ready()
    Process(state, "worker").ready()
    api = Process(state, "api").ready()
    attachment = api.attach(api.volume())
    assert api.call("DELETE", f"/volume/v3/attachments/{attachment}").status == 200
    assert host.popen.poll() is None


def test_several_processes_share_postgresql_as_they_share_sqlite(
    state_dir: Path, postgres_server: postgres.Server
) -> None:
    with postgres_server.database() as url:
        up = Process(state_dir, MOORAGE_DATABASE=url).ready()
        api = Process(state_dir, "api", MOORAGE_DATABASE=url).ready()
        volume = api.volume()
        attachment = api.attach(volume)
        up.kill()
        again = Process(state_dir, MOORAGE_DATABASE=url).ready()
        assert api.call("DELETE", f"/volume/v3/attachments/{attachment}").status == 200
        again.until(f"/volume/v3/volumes/{volume}", "available")
        assert not (state_dir / "moorage.db").exists()
        down(state_dir, MOORAGE_DATABASE=url)


def test_down_stops_everything_and_says_what(state: Path) -> None:
    up = Process(state).ready()
    up.attach(up.volume())
    running = daemons(state)
    clouds = (state / "clouds.yaml").read_text()
    printed = down(state)
    assert f"pid {up.popen.pid}" in printed
    assert (state / "clouds.yaml").read_text() == clouds
    assert up.popen.wait(60) == 0
    assert running and not any(started(pid) for pid in running)


def test_who_is_attached_when_everything_is_stopped_finds_his_bytes_at_his_address(state: Path) -> None:
    """Nobody had flushed them."""
    up = Process(state).ready()
    attachment = up.attach(up.volume())
    info = up.call("GET", f"/volume/v3/attachments/{attachment}").json["attachment"]["connection_info"]
    (key := state / "psk").write_text(f"{attachment}:{info['tls_psk']}\n")
    with client(Connection(info["uri"]), key) as writer:
        writer.pwrite(b"moorage!" * 64, 4096)
        down(state)
        with pytest.raises(ClientError):
            writer.pwrite(bytes(512), 4096)
    again = Process(state).ready()
    shown = again.call("GET", f"/volume/v3/attachments/{attachment}").json["attachment"]
    assert (shown["status"], shown["connection_info"]["uri"]) == ("attached", info["uri"])
    with client(Connection(info["uri"]), key) as reader:
        assert reader.pread(512, 4096) == b"moorage!" * 64
    assert again.call("DELETE", f"/volume/v3/attachments/{attachment}").status == 200


def test_a_second_up_on_a_taken_port_says_so_and_changes_nothing(state: Path) -> None:
    up = Process(state).ready()
    other = Process(state, "up", port=up.port)
    assert other.popen.wait(60) == 1
    assert "listens on" in other.log.read_text()
    assert up.call("GET", "/volume/v3/volumes").status == 200


def test_records_and_keys_are_nobody_elses_to_read(state: Path) -> None:
    Process(state).ready()
    private = [state / "moorage.db", state / "clouds.yaml", *(state / "keys").iterdir()]
    assert {path.name: oct(path.stat().st_mode & 0o077) for path in private} == {path.name: "0o0" for path in private}


def test_keys_are_rotated_while_everything_runs(state: Path) -> None:
    up = Process(state).ready()
    old = up.token()
    moorage(state, "rotate-keys")
    assert up.call("GET", "/volume/v3/volumes", token=old).status == 200
    up.forget_token()
    assert up.token() != old
    assert up.call("GET", "/volume/v3/volumes").status == 200


def test_who_waits_when_the_process_is_told_to_end_is_told_to_ask_again(state: Path) -> None:
    up = Process(state).ready()
    attachment = up.attach(up.volume())
    os.kill(daemons(state)[0], signal.SIGSTOP)  # the detach will wait for it, up to 5 s
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(up.call, "DELETE", f"/volume/v3/attachments/{attachment}")
        while up.call("GET", f"/volume/v3/attachments/{attachment}").json["attachment"]["status"] != "detaching":
            time.sleep(0.01)
        up.popen.terminate()
        assert waiting.result().status == 504
    assert up.popen.wait(60) == 0
    again = Process(state).ready()
    assert again.call("DELETE", f"/volume/v3/attachments/{attachment}").status in (200, 404)
