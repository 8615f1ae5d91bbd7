"""Logging in and out, and what tokens stand for."""

from tests.api.identity.conftest import BASE, Cloud


def test_a_password_gives_a_token_for_the_default_project(cloud: Cloud) -> None:
    reply = cloud.login("demo")
    assert reply.status == 201
    token = reply.json["token"]
    assert token["project"]["name"] == "demo"
    assert {role["name"] for role in token["roles"]} == {"member", "reader"}
    assert reply.headers["vary"] == "X-Auth-Token"
    assert len(reply.headers["x-subject-token"]) < 255
    urls = {(s["type"], e["interface"]): e["url"] for s in token["catalog"] for e in s["endpoints"]}
    assert urls["identity", "public"] == f"{BASE}/identity"
    assert urls["volumev3", "internal"] == urls["block-storage", "admin"] == f"{BASE}/volume/v3"
    assert urls["image", "public"] == f"{BASE}/image"


def test_a_token_shows_itself_and_dies_when_it_is_deleted(cloud: Cloud) -> None:
    token = cloud.token("demo")
    other = cloud.token("demo")
    me = {"x-subject-token": token}
    shown = cloud.call("GET", "/auth/tokens", token=token, headers=me)
    assert (shown.status, shown.headers["x-subject-token"]) == (200, token)
    assert cloud.call("HEAD", "/auth/tokens", token=token, headers=me).status == 200
    assert cloud.call("DELETE", "/auth/tokens", token=token, headers=me).status == 204
    assert cloud.call("GET", "/auth/tokens", token=token, headers=me).status == 401
    assert cloud.call("GET", "/auth/tokens", token=cloud.admin, headers=me).status == 404
    assert cloud.call("GET", "/auth/projects", token=other).status == 200
