"""Moorage's own user: what it may, where it asks, and how it is stopped."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from moorage.config import BackendSettings
from moorage.core.caller import NOBODY
from moorage.database import Database
from moorage.identity import bootstrap, deputy, lookup, rows, user
from moorage.identity.records import users
from tests.clients.compute import Standin, standin
from tests.cloud import Cloud, running

SERVER = "11111111-1111-4111-8111-111111111111"
ADMIN = "moorage-admin"
INTERFACES = ("admin", "internal", "public")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    state = tmp_path_factory.mktemp("m")
    with running(state, backends=(BackendSettings("files", "memory"),)) as cloud:
        yield cloud


@pytest.fixture
def nova() -> Iterator[Standin]:
    with standin() as nova:
        yield nova


def made(cloud: Cloud, kind: str, body: Mapping[str, Any]) -> str:
    reply = cloud.call("POST", f"/identity/v3/{kind}s", {kind: body}, as_=ADMIN)
    assert reply.status == 201, reply.body
    return str(reply.json[kind]["id"])


@pytest.fixture
def service(cloud: Cloud) -> Iterator[str]:
    id = made(cloud, "service", {"type": "compute", "name": "nova"})
    yield id
    cloud.call("DELETE", f"/identity/v3/services/{id}", as_=ADMIN)


def at(cloud: Cloud, service: str, url: str, interface: str = "public", region: str | None = "RegionOne") -> None:
    body = {"service_id": service, "interface": interface, "url": url, "region_id": region}
    made(cloud, "endpoint", body)


def attached(cloud: Cloud) -> tuple[str, str]:
    """A volume and its attachment, which a server uses."""
    volume = cloud.call("POST", "/volume/v3/volumes", {"volume": {"size": 1}}).json["volume"]["id"]
    body = {"volume_uuid": volume, "instance_uuid": SERVER, "connector": {"nbd": True, "host": "h"}}
    version = {"openstack-api-version": "volume 3.54"}
    for _ in range(500):
        if cloud.call("GET", f"/volume/v3/volumes/{volume}").json["volume"]["status"] == "available":
            break
    made = cloud.call("POST", "/volume/v3/attachments", {"attachment": body}, headers=version)
    assert made.status == 200, made.body
    return volume, made.json["attachment"]["id"]


def delete(cloud: Cloud, id: str, **headers: str) -> int:
    sent = {"openstack-api-version": "volume 3.54", **headers}
    return cloud.call("DELETE", f"/volume/v3/attachments/{id}", headers=sent).status


def test_a_user_is_believed_when_compute_says_so(cloud: Cloud, service: str, nova: Standin) -> None:
    volume, id = attached(cloud)
    assert delete(cloud, id) == 409 and nova.asked == []
    at(cloud, service, nova.url)
    nova.uses[SERVER, volume] = id
    assert delete(cloud, id) == 409
    nova.uses.clear()
    assert delete(cloud, id) == 200
    tokens = {headers["x-auth-token"] for _, headers in nova.asked}
    assert len(nova.asked) == 2 and cloud.token() not in tokens
    said = cloud.call("GET", "/identity/v3/auth/tokens", as_=ADMIN, headers={"x-subject-token": tokens.pop()})
    token = said.json["token"]
    assert (token["user"]["name"], token["project"]["name"]) == ("moorage", "service")
    assert {"admin", "service"} <= {role["name"] for role in token["roles"]}
    issued, expires = (token[name].partition("T")[2] for name in ("issued_at", "expires_at"))
    assert (_seconds(expires) - _seconds(issued)) % 86400 == pytest.approx(300, abs=1)


def _seconds(clock: str) -> float:
    hours, minutes, seconds = clock.rstrip("Z").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def test_which_endpoint_is_asked(cloud: Cloud, service: str) -> None:
    asker = deputy.Deputy(cloud.app.database, cloud.app.rooms.identity, "RegionOne", "http://own:1")
    assert asker.places("compute") == deputy.Places()
    made(cloud, "region", {"id": "Elsewhere"})
    at(cloud, service, "http://elsewhere", "internal", "Elsewhere")
    assert asker.places("compute").urls == ()
    at(cloud, service, "http://anywhere", "internal", None)
    assert asker.places("compute").urls == ("http://anywhere",)
    at(cloud, service, "http://public", "public")
    assert asker.places("compute").urls == ("http://public",)
    at(cloud, service, "$(public_url)s/%(project_id)s", "internal")
    with cloud.app.database.read() as tx:
        project = lookup.project(tx, {"name": "service", "domain": {"id": "default"}})
    assert project is not None and asker.places("compute").urls == (f"http://own:1/{project['id']}",)
    another = made(cloud, "service", {"type": "compute"})
    at(cloud, another, "http://another")
    assert set(asker.places("compute").urls) == {f"http://own:1/{project['id']}", "http://another"}
    cloud.call("PATCH", f"/identity/v3/services/{service}", {"service": {"enabled": False}}, as_=ADMIN)
    assert asker.places("compute").urls == ("http://another",)
    cloud.call("DELETE", f"/identity/v3/services/{another}", as_=ADMIN)
    assert asker.places("compute").urls == ()


def test_a_client_does_not_say_where_compute_is(cloud: Cloud, service: str, nova: Standin) -> None:
    at(cloud, service, "$(public_url)s/compute/v2.1")
    _, id = attached(cloud)
    assert delete(cloud, id, host=nova.url.split("/")[2]) == 503
    assert nova.asked == []


def test_our_user_can_be_stopped(cloud: Cloud, service: str, nova: Standin) -> None:
    at(cloud, service, nova.url)
    _, id = attached(cloud)
    path = f"/identity/v3/users/{deputy.ID}"
    assert cloud.call("PATCH", path, {"user": {"enabled": False}}, as_=ADMIN).status == 200
    assert delete(cloud, id) == 503
    assert cloud.call("PATCH", path, {"user": {"enabled": True}}, as_=ADMIN).status == 200
    with cloud.app.database.read() as tx:
        home = rows.get(tx, users, deputy.ID)["default_project_id"]
    (role,) = cloud.call("GET", "/identity/v3/roles?name=admin", as_=ADMIN).json["roles"]
    grant = f"/identity/v3/projects/{home}/users/{deputy.ID}/roles/{role['id']}"
    assert cloud.call("DELETE", grant, as_=ADMIN).status == 204
    assert delete(cloud, id) == 503 and nova.asked == []  # who is no administrator is told 404 of others' servers
    assert cloud.call("PUT", grant, as_=ADMIN).status == 204
    assert delete(cloud, id) == 200


def test_nobody_logs_in_as_moorage(cloud: Cloud) -> None:
    for password in ("", "moorage", "None"):
        who = {"id": deputy.ID, "password": password}
        asked = {"auth": {"identity": {"methods": ["password"], "password": {"user": who}}}}
        assert cloud.call("POST", "/identity/v3/auth/tokens", asked, as_=None).status in (400, 401)


def test_it_comes_back_and_takes_nobodys_name(database: Database, keys: Path) -> None:
    bootstrap.run(database, keys, "RegionOne")
    with database.write() as tx:
        user.delete(tx, NOBODY, deputy.ID)
        somebody = user.create(tx, NOBODY, {"name": "moorage", "domain_id": "default"}, None)
    bootstrap.run(database, keys, "RegionOne")
    with database.read() as tx:
        assert rows.get(tx, users, deputy.ID)["name"] == f"moorage-{deputy.ID}"
        found = lookup.user(tx, {"name": "moorage", "domain": {"id": "default"}})
        assert found is not None and found["id"] == somebody["id"]
    with database.write() as tx:
        rows.change(tx, users, deputy.ID, {"enabled": False})
    bootstrap.run(database, keys, "RegionOne")
    with database.read() as tx:
        assert not rows.get(tx, users, deputy.ID)["enabled"]
