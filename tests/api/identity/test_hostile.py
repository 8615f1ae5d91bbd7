"""Bad input of every kind is answered, and never with a 5xx."""

from typing import Any
from urllib.parse import quote

import pytest

from moorage.api.identity.routes import ROUTES
from tests.api.identity.conftest import Cloud

ODD: tuple[Any, ...] = (
    None,
    "",
    " ",
    "x" * 65,
    "x" * 256,
    "x" * 70000,
    "\0",
    "a\0b",
    "é\u2603\U0001f600",
    0,
    -1,
    1.5,
    10**30,
    True,
    [],
    {},
    [[]],
    {"a": None},
    {"id": None},
    {"id": {}},
    "../../etc",
    "%00",
    "'; DROP TABLE identity_users; --",
    ["\0"],
    {"\0": 1},
)
IDS = ("%00", "x", "x" * 300, quote("é☃"), "..%2f..", "%25", "'", "%ff", "null", "0" * 32, "-1")
NOUNS = {
    "project": (
        "name",
        "description",
        "enabled",
        "domain_id",
        "parent_id",
        "is_domain",
        "tags",
        "options",
        "extra",
        "odd",
    ),
    "domain": ("name", "description", "enabled", "tags", "options", "odd"),
    "user": (
        "name",
        "password",
        "description",
        "enabled",
        "domain_id",
        "default_project_id",
        "email",
        "options",
        "odd",
    ),
    "group": ("name", "description", "domain_id", "odd"),
    "role": ("name", "description", "domain_id", "options", "odd"),
    "region": ("id", "description", "parent_region_id"),
    "service": ("type", "name", "description", "enabled"),
    "endpoint": ("service_id", "interface", "url", "region_id", "region", "name", "enabled"),
    "application_credential": ("name", "description", "secret", "roles", "unrestricted", "expires_at", "access_rules"),
}


def fine(reply: Any) -> bool:
    """Whether an answer is one that the client may get for odd input, in the shape of this service."""
    return reply.status < 500 and (reply.status < 400 or set(reply.json) == {"error"})


@pytest.mark.parametrize("noun", NOUNS)
def test_odd_values_in_bodies(cloud: Cloud, noun: str) -> None:
    user = cloud.id("user", "demo")
    plural = f"/users/{user}/application_credentials" if noun == "application_credential" else f"/{noun}s"
    token = cloud.demo if noun == "application_credential" else cloud.admin
    needed: dict[str, Any] = {"name": "n", "type": "t", "interface": "public", "url": "http://x", "id": "r"}
    needed["service_id"] = cloud.ask("GET", "/services", 200)["services"][0]["id"]
    fields = {k: v for k, v in needed.items() if k in NOUNS[noun]}
    reply = cloud.call("POST", plural, {noun: fields}, token=token)
    assert reply.status == 201, reply.body
    one = f"{plural}/{reply.json[noun]['id']}"
    for n, value in enumerate(ODD):
        for field in NOUNS[noun]:
            unique = {k: f"{v}{n}{field}" for k, v in fields.items() if k in ("name", "id")}
            made = cloud.call("POST", plural, {noun: {**fields, **unique, field: value}}, token=token)
            assert fine(made), (field, value, made.body)
            if noun != "application_credential":
                changed = cloud.call("PATCH", one, {noun: {field: value}}, token=token)
                assert fine(changed), (field, value, changed.body)
        wrong = [value, {"x": value}] + ([] if noun == "region" and isinstance(value, dict) else [{noun: value}])
        for body in wrong:
            assert cloud.call("POST", plural, body, token=token).status in (400, 413), value


def test_odd_ids_in_every_path(cloud: Cloud) -> None:
    for route in ROUTES:
        if "{" in route.path:
            for id in IDS:
                path = "/".join(id if part.startswith("{") else part for part in route.path.split("/"))
                reply = cloud.call(route.method, path.removeprefix("/v3"), {}, token=cloud.admin)
                assert fine(reply), (route.method, path, reply.body)


def test_odd_queries_on_every_list(cloud: Cloud) -> None:
    for route in ROUTES:
        if route.method == "GET" and route.query and "{" not in route.path:
            for name in (*route.query, "limit", "marker", "sort_key", "name__contains"):
                for value in ("", "%00", "x" * 300, "%ff", "-1", "'", "true", "\u00e9"):
                    reply = cloud.call(
                        "GET", f"{route.path.removeprefix('/v3')}?{name}={quote(value, safe='%')}", token=cloud.admin
                    )
                    assert fine(reply), (route.path, name, value, reply.body)
    assert cloud.call("GET", "/users?" + "&".join(["a=b"] * 500), token=cloud.admin).status == 400


def test_odd_bytes_as_bodies(cloud: Cloud) -> None:
    for route in ROUTES:
        if route.body is not None and "{" not in route.path:
            path = route.path.removeprefix("/v3")
            for content in (b"{", b"\xff", b"[" * 20000, b'"\\ud800"', b"NaN", b"1e999", b'{"a":1', b"null"):
                reply = cloud.call(route.method, path, content=content, token=cloud.admin)
                assert reply.status == 400, (path, content[:9], reply.body)
            assert cloud.call(route.method, path, content=b" " * 200_000, token=cloud.admin).status == 413


def test_methods_and_paths_that_do_not_exist(cloud: Cloud) -> None:
    assert cloud.call("PUT", "/projects", {}, token=cloud.admin).status == 405
    assert cloud.call("GET", "/nonesuch", token=cloud.admin).json["error"]["title"] == "Not Found"
