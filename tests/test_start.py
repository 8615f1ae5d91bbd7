"""What keeps a process from starting is said in one line, and nothing is touched meanwhile."""

import errno
import os
import socket
import subprocess
import sys

import pytest

from moorage.app import DatabaseUnusable, build
from moorage.config import Config
from moorage.hosts.cloud import WrongDatabase
from moorage.server import AddressTaken, AddressUnusable, Server
from tests.postgres import free_port


def started(config: Config, role: str = "host") -> None:
    build(config, role).stop()


def test_a_state_directory_is_refused_beside_another_database(tmp_path):
    mine, other = tmp_path / "mine", tmp_path / "other"
    started(Config(state=mine))
    started(Config(state=mine))
    before = {path: path.stat().st_mtime_ns for path in mine.rglob("*") if path.is_file()}
    with pytest.raises(WrongDatabase) as refused:
        build(Config(state=mine, database=f"sqlite:///{tmp_path / 'empty.db'}"), "host")
    assert str(mine / "cloud") in refused.value.sentence
    assert {path: path.stat().st_mtime_ns for path in mine.rglob("*") if path.is_file()} == before
    started(Config(state=other, database=f"sqlite:///{mine / 'moorage.db'}"))  # further directories of one database
    (mine / "cloud").unlink()
    started(Config(state=mine, database=f"sqlite:///{tmp_path / 'empty.db'}"))


def test_a_database_that_does_not_answer_is_said_without_its_password(tmp_path):
    url = f"postgresql://moorage:sekret@127.0.0.1:{free_port()}/moorage"
    with pytest.raises(DatabaseUnusable) as refused:
        build(Config(state=tmp_path, database=url), "host")
    assert os.strerror(errno.ECONNREFUSED) in refused.value.sentence
    assert "sekret" not in refused.value.sentence


def test_an_address_that_is_taken_is_told_from_one_that_is_not_ours(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert _refusal(tmp_path, f"127.0.0.1:{taken.getsockname()[1]}") is AddressTaken
    assert _refusal(tmp_path, "192.0.2.1:8790") is AddressUnusable


def _refusal(state, listen):
    app = build(Config(state=state, listen=listen), "api")
    try:
        with pytest.raises((AddressTaken, AddressUnusable)) as refused:
            Server(app)._tcp()
        return refused.type
    finally:
        app.stop()


def test_a_state_directory_that_cannot_be_one_is_said_in_a_line(tmp_path):
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "moorage", "up", "--state", str(tmp_path / "file"), "--listen", "127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert str(tmp_path / "file") in line
