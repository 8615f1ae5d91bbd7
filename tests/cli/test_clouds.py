"""A cloud is found the way `openstack` finds it; the agent's socket is where Moorage puts it."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from moorage.client import agent, clouds
from moorage.client.clouds import Cloud
from moorage.client.session import Session
from moorage.client.wire import ClientError, Refusal, Unreachable, Wire
from moorage.config import state_directory
from moorage.place import Place

PASSWORD = {"auth_url": "http://c/identity", "username": "u", "password": "p", "project_name": "d"}


def write(path: Path, **found: Any) -> str:
    path.write_text(yaml.safe_dump({"clouds": found}))
    return str(path)


@pytest.mark.parametrize("state", ["/var/lib/moorage", "/tmp/x", "relative", "/tmp/../tmp/y"])
def test_the_agents_socket_is_where_the_server_puts_it(state: str) -> None:
    assert agent.socket_of(Path(state), os.environ) == Place(Path(state)).agent


@pytest.mark.parametrize("named", [None, "/tmp/named"])
@pytest.mark.parametrize("variable", [None, "/tmp/variable"])
def test_the_state_directory_is_the_servers(
    named: str | None, variable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MOORAGE_STATE", raising=False)
    if variable:
        monkeypatch.setenv("MOORAGE_STATE", variable)
    assert agent.state_directory(named, os.environ) == state_directory(named)


def test_a_named_cloud_comes_from_the_named_file_and_what_is_secret_from_beside_it(tmp_path: Path) -> None:
    path = write(tmp_path / "clouds.yaml", one={"auth": {**PASSWORD, "password": None}, "region_name": "R"}, two={})
    write(tmp_path / "secure.yaml", one={"auth": {"password": "secret"}})
    cloud = clouds.find(None, {"OS_CLIENT_CONFIG_FILE": path, "OS_CLOUD": "one"})
    assert (cloud.auth["password"], cloud.region, cloud.auth_url) == ("secret", "R", "http://c/identity/v3")
    assert "secret" not in repr(cloud)


def test_the_option_wins_over_the_variable(tmp_path: Path) -> None:
    path = write(tmp_path / "clouds.yaml", one={"auth": PASSWORD}, two={"auth": PASSWORD})
    assert clouds.find("two", {"OS_CLIENT_CONFIG_FILE": path, "OS_CLOUD": "one"}).name == "two"


def test_variables_alone_make_a_cloud() -> None:
    environ = {"OS_AUTH_URL": "http://c/identity/v3", "OS_USERNAME": "u", "OS_PASSWORD": "p", "OS_PROJECT_ID": "d"}
    cloud = clouds.find(None, environ)
    assert (cloud.name, cloud.auth_url, cloud.auth["project_id"]) == ("envvars", "http://c/identity/v3", "d")


def test_the_only_cloud_needs_no_name_and_of_several_one_has_to_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "clouds.yaml", one={"auth": PASSWORD})
    assert clouds.find(None, {"OS_CLIENT_CONFIG_FILE": path}).name == "one"
    path = write(tmp_path / "clouds.yaml", one={"auth": PASSWORD}, two={"auth": PASSWORD})
    with pytest.raises(ClientError, match="has: one, two"):
        clouds.find(None, {"OS_CLIENT_CONFIG_FILE": path})
    with pytest.raises(ClientError, match="no cloud three"):
        clouds.find("three", {"OS_CLIENT_CONFIG_FILE": path})


def test_who_has_no_file_of_his_own_gets_the_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    fallback = tmp_path / "state.yaml"
    write(fallback, moorage={"auth": PASSWORD}, admin={"auth": PASSWORD})
    assert clouds.find(None, {}, fallback).name == "moorage"
    with pytest.raises(ClientError, match="No cloud is known"):
        clouds.find(None, {}, tmp_path / "nowhere.yaml")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="cannot be read"):
        clouds.find("x", {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "none.yaml")})
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(ClientError, match="is not YAML"):
        clouds.find("x", {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "bad.yaml")})


class Fake(BaseHTTPRequestHandler):
    """Just enough of a cloud to see what is sent to it: no real one lets its tokens be broken at will."""

    seen: list[tuple[str, str, dict[str, str], Any]]
    tokens = 0
    broken: set[str]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
        type(self).seen.append(("POST", self.path, dict(self.headers), body))
        type(self).tokens += 1
        here = f"http://127.0.0.1:{self.server.server_address[1]}/volume/v3"
        catalog = [{"type": "block-storage", "endpoints": [{"interface": "public", "region_id": "R", "url": here}]}]
        self._answer(201, {"token": {"catalog": catalog}}, {"X-Subject-Token": f"t{type(self).tokens}"})

    def do_GET(self) -> None:
        type(self).seen.append(("GET", self.path, dict(self.headers), None))
        if self.headers["X-Auth-Token"] in type(self).broken:
            self._answer(401, {"error": {"message": "over", "code": 401}})
        elif self.path.endswith("/refused"):
            self._answer(409, {"conflictingRequest": {"message": "In the way: x.", "code": 409}})
        else:
            self._answer(200, {"ok": True})

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    Fake.seen, Fake.tokens, Fake.broken = [], 0, set()
    server = HTTPServer(("127.0.0.1", 0), Fake)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/identity"
    yield Cloud("fake", {**PASSWORD, "auth_url": url}, region="R")
    server.shutdown()
    server.server_close()


def test_a_session_logs_in_once_and_again_when_its_token_is_over(cloud: Cloud) -> None:
    session = Session(cloud)
    assert session.ask("block-storage", "GET", "/volumes", version="3.54") == {"ok": True}
    assert Fake.seen[-1][2]["OpenStack-API-Version"] == "volume 3.54"
    Fake.broken = {"t1"}
    assert session.ask("block-storage", "GET", "/volumes") == {"ok": True}
    assert [path for _, path, _, _ in Fake.seen if path.endswith("tokens")] == ["/identity/v3/auth/tokens"] * 2
    Fake.broken = {"t2", "t3"}
    with pytest.raises(Refusal, match="over"):
        session.ask("block-storage", "GET", "/volumes")
    assert Fake.tokens == 3


def test_a_refusal_says_what_the_server_said(cloud: Cloud) -> None:
    with pytest.raises(Refusal, match="In the way: x") as refusal:
        Session(cloud).ask("moorage", "GET", "/refused")
    assert refusal.value.status == 409


def test_a_service_that_is_not_offered_is_named(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match="offers no image"):
        Session(cloud).ask("image", "GET", "/")


@pytest.mark.parametrize(
    ("auth", "identity", "scope"),
    [
        ({"token": "t"}, {"methods": ["token"], "token": {"id": "t"}}, None),
        (
            {"application_credential_id": "i", "application_credential_secret": "s", "project_name": "d"},
            {"methods": ["application_credential"], "application_credential": {"id": "i", "secret": "s"}},
            None,
        ),
        (
            {"user_id": "u", "password": "p", "system_scope": "all"},
            {"methods": ["password"], "password": {"user": {"id": "u", "password": "p"}}},
            {"system": {"all": True}},
        ),
        (
            {"username": "u", "user_domain_id": "x", "password": "p", "project_name": "d", "project_domain_name": "y"},
            {"methods": ["password"], "password": {"user": {"name": "u", "domain": {"id": "x"}, "password": "p"}}},
            {"project": {"name": "d", "domain": {"name": "y"}}},
        ),
    ],
)
def test_each_way_to_log_in(cloud: Cloud, auth: Any, identity: Any, scope: Any) -> None:
    Session(Cloud("fake", {**auth, "auth_url": cloud.auth["auth_url"]}, "R")).ask("moorage", "GET", "/status")
    sent = Fake.seen[0][3]["auth"]
    assert (sent["identity"], sent.get("scope")) == (identity, scope)


def test_where_nobody_answers_it_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match="Nobody answers at http://127"):
            Wire().ask("GET", f"http://127.0.0.1:{taken.getsockname()[1]}/")
    with pytest.raises(Unreachable, match="Is Moorage running here"):
        agent.Agent(tmp_path / "agent").ask("GET", "/")
    assert not agent.Agent(tmp_path / "agent").answers()
