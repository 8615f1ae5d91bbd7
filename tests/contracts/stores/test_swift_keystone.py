"""
The swift store logged in by Keystone's v3: Moorage's own Identity gives the token and the catalog, and Ceph's gateway
asks it who the token's bearer is.
"""

import http.client
import json
import os
import secrets
from dataclasses import replace

import pytest
import yaml

from moorage.drivers.stores.swift.settings import SwiftSettings
from moorage.drivers.stores.swift.store import SwiftStore
from moorage.images.store import ObjectMissing, StoreUnavailable
from tests import radosgw
from tests.contracts.stores.contract import NAME, put, read
from tests.server import Process, down

ADMIN, MIB = "moorage-admin", 1 << 20


@pytest.fixture(scope="module")
def keystone(tmp_path_factory):
    """A Moorage whose Identity is asked."""
    state = tmp_path_factory.mktemp("keystone") / "state"
    yield Process(state).ready()
    down(state)


@pytest.fixture(scope="module")
def own(gateway, keystone, tmp_path_factory):
    """A gateway that takes that Identity's tokens; its catalog has it in one region, and nothing in another."""
    who = yaml.safe_load((keystone.state / "clouds.yaml").read_text())["clouds"][ADMIN]["auth"]
    password = tmp_path_factory.mktemp("rgw") / "password"
    password.write_text(who["password"])
    options = {
        "url": f"http://127.0.0.1:{keystone.port}/identity",
        "api-version": "3",
        "admin-user": who["username"],
        "admin-password-path": str(password),
        "admin-project": who["project_name"],
        "admin-domain": "Default",
        "accepted-roles": "member",
        "token-cache-size": "0",
    }
    words = [f"--rgw-keystone-{name}={value}" for name, value in options.items()]
    own = radosgw.Own(gateway, *words, "--rgw-swift-account-in-url=true")
    for region, url in (("RegionOne", own.gateway.url), ("elsewhere", "http://127.0.0.1:9")):
        offer(keystone, region, url + "/swift/v1/AUTH_%(project_id)s")
    yield own
    own.kill()


def offer(keystone, region, url):
    token = keystone.token(ADMIN)
    found = keystone.call("GET", "/identity/v3/services?type=object-store", token=token).json["services"]
    if not found:
        asked = {"service": {"type": "object-store", "name": "swift"}}
        found = [keystone.call("POST", "/identity/v3/services", asked, token=token).json["service"]]
    keystone.call("POST", "/identity/v3/regions", {"region": {"id": region}}, token=token)
    asked = {"service_id": found[0]["id"], "interface": "public", "url": url, "region_id": region}
    assert keystone.call("POST", "/identity/v3/endpoints", {"endpoint": asked}, token=token).status == 201


@pytest.fixture
def settings(keystone, own, tmp_path):
    """As the demo user, whose role is member."""
    who = yaml.safe_load((keystone.state / "clouds.yaml").read_text())["clouds"]["moorage"]["auth"]
    (tmp_path / "key").write_text(who["password"])
    return SwiftSettings(
        auth_url=f"http://127.0.0.1:{keystone.port}/identity/v3",
        user=who["username"],
        project=who["project_name"],
        key_file=str(tmp_path / "key"),
        region="RegionOne",
        container="c-" + secrets.token_hex(8),
        segment_size=1,
        connect_timeout_s=5.0,
        timeout_s=10.0,
    )


@pytest.mark.parametrize("size", [5, 3 * MIB + 17])
def test_what_is_written_is_read_found_and_deleted(settings, size):
    store, data = SwiftStore("swift", settings), os.urandom(size)
    store.probe()
    put(store, data)
    assert (read(store), store.size(NAME), store.names()) == (data, size, {NAME})
    assert read(store, offset=2, length=2) == data[2:4]
    store.delete(NAME)
    assert list(store._service.page_through("")) == []
    with pytest.raises(ObjectMissing):
        store.size(NAME)


def test_a_writer_that_dies_leaves_what_a_delete_finds(settings):
    SwiftStore("swift", settings).create(NAME, None).write(os.urandom(3 * MIB))
    store = SwiftStore("swift", settings)
    assert store.names() == {NAME}
    store.delete(NAME)
    assert list(store._service.page_through("")) == []


def test_an_application_credential_lets_in(keystone, settings, tmp_path):
    user = of_token(keystone, "GET", keystone.token())["token"]["user"]["id"]
    asked = {"application_credential": {"name": secrets.token_hex(4), "roles": [{"name": "member"}]}}
    made = keystone.call("POST", f"/identity/v3/users/{user}/application_credentials", asked)
    assert made.status == 201, made.body
    credential = made.json["application_credential"]
    (tmp_path / "secret").write_text(credential["secret"])
    instead = {"user": "", "project": "", "application_credential_id": credential["id"]}
    store = SwiftStore("swift", replace(settings, **instead, key_file=str(tmp_path / "secret")))
    put(store, b"by a credential")
    assert read(store) == b"by a credential" == read(SwiftStore("swift", settings))


def test_a_token_that_is_revoked_meanwhile_is_replaced(keystone, settings):
    store = SwiftStore("swift", settings)
    put(store, b"before")
    token = store._service._login.account().token
    of_token(keystone, "DELETE", token)
    assert read(store) == b"before"
    assert store._service._login.account().token != token


def of_token(keystone, method, token):
    """What is said of a token by its bearer; it is revoked by DELETE."""
    connection = http.client.HTTPConnection("127.0.0.1", keystone.port, timeout=30)
    headers = {"X-Auth-Token": token, "X-Subject-Token": token}
    connection.request(method, "/identity/v3/auth/tokens", headers=headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert answer.status in (200, 204), text
    return json.loads(text) if text else None


WRONG = {
    "a wrong password": ({"key_env": "WRONG_KEY", "key_file": ""}, "refuses our user or key"),
    "an unknown project": ({"project": "nowhere"}, "refuses our user or key"),
    "an unknown region": ({"region": "nowhere"}, "no object-store"),
    "an interface that nobody offers": ({"interface": "internal"}, "no object-store"),
    "no Keystone": ({"auth_url": "http://127.0.0.1:9/v3"}, "no connection"),
    "a region whose gateway is away": ({"region": "elsewhere"}, "no connection"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_the_log_in_is_said(settings, what, monkeypatch):
    monkeypatch.setenv("WRONG_KEY", "not-the-password")
    changed, why = WRONG[what]
    with pytest.raises(StoreUnavailable, match=why) as raised:
        SwiftStore("swift", replace(settings, **changed)).probe()
    assert "not-the-password" not in str(raised.value)


def test_a_user_of_another_role_is_told_that_he_is_refused(keystone, settings, tmp_path):
    """The gateway lets in members; the token of a reader is good, and good for nothing there."""
    admin = keystone.token(ADMIN)
    project = keystone.call("GET", "/identity/v3/projects?name=demo", token=admin).json["projects"][0]["id"]
    role = keystone.call("GET", "/identity/v3/roles?name=reader", token=admin).json["roles"][0]["id"]
    name, password = "reader-" + secrets.token_hex(4), secrets.token_hex(16)
    asked = {"user": {"name": name, "password": password}}
    user = keystone.call("POST", "/identity/v3/users", asked, token=admin).json["user"]["id"]
    granted = keystone.call("PUT", f"/identity/v3/projects/{project}/users/{user}/roles/{role}", token=admin)
    assert granted.status == 204, granted.body
    (tmp_path / "reader").write_text(password)
    store = SwiftStore("swift", replace(settings, user=name, key_file=str(tmp_path / "reader")))
    with pytest.raises(StoreUnavailable, match="refuses our"):
        store.probe()
