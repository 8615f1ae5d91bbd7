"""Logging in and out, and what tokens stand for."""

from collections.abc import Callable
from typing import Any

import pytest

from moorage.identity.settings import IdentitySettings
from tests.api.identity.conftest import BASE, Cloud

NOWHERE = "0" * 32


def by_token(text: str, scope: Any = None) -> Any:
    auth: dict[str, Any] = {"identity": {"methods": ["token"], "token": {"id": text}}}
    return {"auth": auth if scope is None else {**auth, "scope": scope}}


def test_discovery_needs_no_token(cloud: Cloud) -> None:
    root, v3 = cloud.call("GET", "//identity"), cloud.call("GET", "/")
    assert (root.status, v3.status, cloud.call("GET", "").status) == (300, 200, 200)
    assert root.json["versions"]["values"] == [v3.json["version"]]
    assert v3.json["version"]["links"] == [{"rel": "self", "href": f"{BASE}/identity/v3/"}]
    assert cloud.call("GET", "//identity/v2.0").status == 404


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


def test_the_catalog_follows_the_address_that_a_client_uses(cloud: Cloud) -> None:
    token = cloud.demo
    reply = cloud.call("GET", "/auth/catalog", token=token, headers={"host": "elsewhere:1"})
    urls = {e["url"] for s in reply.json["catalog"] if s["type"] == "image" for e in s["endpoints"]}
    assert urls == {"http://elsewhere:1/image"}
    assert "catalog" not in cloud.login("demo", query="?nocatalog").json["token"]


def test_a_token_shows_itself_and_dies_when_it_is_deleted(cloud: Cloud) -> None:
    token, other = cloud.token("demo"), cloud.token("demo")
    me = {"x-subject-token": token}
    shown = cloud.call("GET", "/auth/tokens", token=token, headers=me)
    assert (shown.status, shown.headers["x-subject-token"]) == (200, token)
    head = cloud.call("HEAD", "/auth/tokens", token=token, headers=me)
    assert (head.status, head.body) == (200, b"")
    assert cloud.call("DELETE", "/auth/tokens", token=token, headers=me).status == 204
    assert cloud.call("GET", "/auth/tokens", token=token, headers=me).status == 401
    assert cloud.call("GET", "/auth/tokens", token=cloud.admin, headers=me).status == 404
    assert cloud.call("DELETE", "/auth/tokens", token=cloud.admin, headers=me).status == 404
    assert cloud.call("GET", "/auth/projects", token=other).status == 200


def test_others_tokens_are_shown_to_administrators_and_services_alone(cloud: Cloud) -> None:
    subject = {"x-subject-token": cloud.token("admin")}
    assert cloud.call("GET", "/auth/tokens", token=cloud.demo, headers=subject).status == 403
    assert cloud.call("DELETE", "/auth/tokens", token=cloud.demo, headers=subject).status == 403
    assert cloud.call("GET", "/auth/tokens", token=cloud.token("service"), headers=subject).status == 200
    assert cloud.call("GET", "/auth/tokens", token=cloud.admin, headers={"x-subject-token": "junk"}).status == 404
    assert cloud.call("GET", "/auth/tokens", token=cloud.admin).status == 404


SCOPES: dict[str, Any] = {
    "project by name": {"project": {"name": "admin", "domain": {"name": "Default"}}},
    "domain": {"domain": {"id": "default"}},
    "system": {"system": {"all": True}},
    "unscoped": "unscoped",
    "unscoped as an object": {"unscoped": {}},
}


@pytest.mark.parametrize("scope", SCOPES.values(), ids=SCOPES.keys())
def test_every_scope(cloud: Cloud, scope: Any) -> None:
    cloud.grant("domains/default", "admin", "admin")
    token = cloud.login("admin", scope=scope).json["token"]
    keys = {"project", "domain", "system"} & token.keys()
    assert (
        keys == {k for k in scope if k in ("project", "domain", "system")} if isinstance(scope, dict) else keys == set()
    )
    assert ("roles" in token) == ("catalog" in token) == bool(keys)


def test_a_rescoped_token_ends_with_its_parent_and_says_whose_child_it_is(cloud: Cloud) -> None:
    parent = cloud.login("demo", scope="unscoped")
    text = parent.headers["x-subject-token"]
    child = cloud.call("POST", "/auth/tokens", by_token(text, {"project": {"id": cloud.id("project", "demo")}}))
    assert child.status == 201
    token, before = child.json["token"], parent.json["token"]
    assert token["methods"] == ["password", "token"]
    assert token["expires_at"] == before["expires_at"]
    assert token["audit_ids"][1] == before["audit_ids"][0]
    grandchild = cloud.call("POST", "/auth/tokens", by_token(child.headers["x-subject-token"]))
    assert grandchild.json["token"]["audit_ids"][1] == before["audit_ids"][0]
    assert grandchild.json["token"]["audit_ids"][0] not in (*token["audit_ids"], *before["audit_ids"])


def test_the_dashboards_way_in(cloud: Cloud) -> None:
    unscoped = cloud.login("demo", scope="unscoped").headers["x-subject-token"]
    refused = cloud.call("POST", "/auth/tokens", by_token(unscoped, {"domain": {"name": "Default"}}))
    assert refused.status == 401
    demo = cloud.id("user", "demo")
    forwarded = {"forwarded": "for=127.0.0.1;by=openstack_auth python-x/1.0 (with spaces)"}
    mine = cloud.call("GET", f"/users/{demo}/projects", token=unscoped, headers=forwarded)
    assert [p["name"] for p in mine.json["projects"]] == ["demo"]
    scoped = cloud.call("POST", "/auth/tokens", by_token(unscoped, {"project": {"id": mine.json["projects"][0]["id"]}}))
    assert scoped.json["token"]["catalog"]
    token = scoped.headers["x-subject-token"]
    assert cloud.call("GET", f"/users/{demo}/projects", token=token).status == 200
    assert cloud.call("DELETE", "/auth/tokens", token=token, headers={"x-subject-token": token}).status == 204
    assert cloud.call("GET", f"/users/{demo}/projects", token=unscoped).status == 200


def test_what_one_may_log_in_to(cloud: Cloud) -> None:
    cloud.grant("domains/default", "admin", "reader")
    for token, projects, domains, system in ((cloud.admin, ["admin"], ["Default"], 1), (cloud.demo, ["demo"], [], 0)):
        assert [p["name"] for p in cloud.call("GET", "/auth/projects", token=token).json["projects"]] == projects
        assert [d["name"] for d in cloud.call("GET", "/auth/domains", token=token).json["domains"]] == domains
        assert len(cloud.call("GET", "/auth/system", token=token).json["system"]) == system
    unscoped = cloud.token("demo", scope="unscoped")
    assert cloud.call("GET", "/auth/catalog", token=unscoped).status == 403


REFUSED: dict[str, dict[str, Any]] = {
    "wrong password": {"name": "demo", "password": "wrong"},
    "unknown user": {"name": "nobody", "password": "x"},
    "unknown id": {"name": "demo", "password": "x", "id": NOWHERE},
    "unknown domain": {"name": "demo", "domain": {"name": "nowhere"}},
    "unknown project": {"name": "demo", "scope": {"project": {"id": NOWHERE}}},
    "no role on the project": {"name": "demo", "scope": {"project": {"name": "admin", "domain": {"id": "default"}}}},
    "no role on the domain": {"name": "demo", "scope": {"domain": {"id": "default"}}},
    "no role on the system": {"name": "demo", "scope": {"system": {"all": True}}},
    "a trust": {"name": "demo", "scope": {"OS-TRUST:trust": {"id": NOWHERE}}},
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_401_says_the_same_whatever_is_wrong(cloud: Cloud, case: dict[str, Any]) -> None:
    reply = cloud.login(**case)
    assert reply.status == 401
    assert reply.json == {
        "error": {"code": 401, "message": "The request you have made requires authentication.", "title": "Unauthorized"}
    }
    assert reply.headers["www-authenticate"] == f'Keystone uri="{BASE}/identity/v3"'


def by_password(user: Any, scope: Any = None) -> Any:
    auth = {"identity": {"methods": ["password"], "password": {"user": user}}}
    return {"auth": auth if scope is None else {**auth, "scope": scope}}


USER = {"name": "demo", "domain": {"id": "default"}, "password": "x"}
MALFORMED: dict[str, Any] = {
    "nothing": None,
    "a list": [],
    "a string": "x",
    "no auth": {},
    "no identity": {"auth": {}},
    "no methods": {"auth": {"identity": {}}},
    "methods of another type": {"auth": {"identity": {"methods": "password"}}},
    "no user": {"auth": {"identity": {"methods": ["password"], "password": {}}}},
    "no password": by_password({"id": "x"}),
    "no domain": by_password({"name": "x", "password": "y"}),
    "null in the name": by_password({**USER, "name": "\0"}),
    "endless password": by_password({**USER, "password": "x" * 5000}),
    "two scopes": by_password(USER, {"domain": {"id": "default"}, "system": {"all": True}}),
    "a strange scope": by_password(USER, "everything"),
    "a name without its domain": by_password(USER, {"project": {"name": "demo"}}),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_400_for_what_makes_no_sense(cloud: Cloud, body: Any) -> None:
    reply = cloud.call("POST", "/auth/tokens", body)
    assert (reply.status, reply.json["error"]["title"]) == (400, "Bad Request")


def test_unknown_methods_and_broken_json(cloud: Cloud) -> None:
    body = {"auth": {"identity": {"methods": ["totp"], "totp": {"user": {"id": "x"}}}}}
    assert cloud.call("POST", "/auth/tokens", body).status == 401
    assert cloud.call("POST", "/auth/tokens", content=b"{").status == 400
    assert cloud.call("POST", "/auth/tokens", content=b"\xff").status == 400
    assert cloud.call("POST", "/auth/tokens", content=b"[" * 50000).status == 400
    assert cloud.call("POST", "/auth/tokens", content=b" " * 200000).status == 413
    assert cloud.call("POST", "/auth/tokens", content=b"x=1", headers={"content-type": "text/plain"}).status == 415
    assert cloud.call("PUT", "/auth/tokens", {}, token=cloud.admin).status == 405


@pytest.mark.parametrize("token", [None, "", "junk", "gAAAAA" + "x" * 100, "x" * 5000, "é"])
def test_calls_need_a_valid_token(cloud: Cloud, token: str | None) -> None:
    sent = {} if token is None else {"x-auth-token": token}
    for path in ("/projects", "/auth/projects", "/nonesuch", "/users/x"):
        reply = cloud.call("GET", path, headers=sent)
        assert (reply.status, "www-authenticate" in reply.headers) == (401, True)


def test_two_methods_must_mean_one_user(cloud: Cloud) -> None:
    admin = {"name": "admin", "domain": {"id": "default"}, "password": cloud.password("admin")}
    both: Any = {"methods": ["token", "password"], "token": {"id": cloud.demo}, "password": {"user": admin}}
    assert cloud.call("POST", "/auth/tokens", {"auth": {"identity": both}}).status == 401
    both["token"]["id"] = cloud.admin
    reply = cloud.call("POST", "/auth/tokens", {"auth": {"identity": both}})
    assert reply.json["token"]["methods"] == ["password", "token"]


class TestExpiry:
    @pytest.fixture
    def settings(self) -> IdentitySettings:
        return IdentitySettings(token_ttl_s=600)

    def test_an_expired_token_is_good_for_a_service_alone(self, cloud: Cloud, later: Callable[[float], None]) -> None:
        text = cloud.token("demo")
        subject = {"x-subject-token": text}
        later(601)
        assert cloud.call("GET", "/auth/projects", token=text).status == 401
        assert cloud.call("GET", "/auth/tokens", token=cloud.token("service"), headers=subject).status == 404
        late = cloud.call("GET", "/auth/tokens?allow_expired=1", token=cloud.token("service"), headers=subject)
        assert late.status == 200
        forwarded = {"x-service-token": cloud.token("service")}
        assert cloud.call("GET", "/auth/projects", token=text, headers=forwarded).status == 200
        plain = {"x-service-token": cloud.token("demo")}
        assert cloud.call("GET", "/auth/projects", token=text, headers=plain).status == 401
        assert (
            cloud.call("GET", "/auth/projects", token=cloud.token("demo"), headers={"x-service-token": "junk"}).status
            == 401
        )


def test_a_service_token_gives_its_roles_to_the_caller(cloud: Cloud) -> None:
    headers = {"x-auth-token": cloud.demo, "x-service-token": cloud.token("service")}
    caller = cloud.tokens.caller(headers, "req-1")
    assert (caller.user_name, caller.project_name, caller.request_id) == ("demo", "demo", "req-1")
    assert caller.roles == {"member", "reader"}
    assert caller.service_roles == {"service", "member", "reader"}
    assert caller.is_service
