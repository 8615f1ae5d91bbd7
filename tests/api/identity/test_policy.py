"""Who may call what: a plain member reads what is his own, and learns nothing of the rest."""

from typing import Any

import pytest

from moorage.api.identity.routes import ROUTES
from tests.api.identity.conftest import Cloud

#: Calls that any token is enough for.
FOR_ALL = {
    "/v3/auth/tokens",
    "/v3/auth/projects",
    "/v3/auth/domains",
    "/v3/auth/system",
    "/v3/auth/catalog",
    "/v3/credentials",
    "/v3/OS-TRUST/trusts",
    "/v3/registered_limits",
    "/v3/limits",
    "/v3/limits/model",
}

BODIES: dict[str, Any] = {
    "projects": {"project": {"name": "x"}},
    "tags": {"tags": []},
    "domains": {"domain": {"name": "x"}},
    "users": {"user": {"name": "x"}},
    "password": {"user": {"original_password": "x", "password": "y"}},
    "groups": {"group": {"name": "x"}},
    "application_credentials": {"application_credential": {"name": "x"}},
    "roles": {"role": {"name": "x"}},
    "regions": {"region": {"id": "x"}},
    "services": {"service": {"type": "x"}},
    "endpoints": {"endpoint": {"service_id": "x", "interface": "public", "url": "x"}},
}


def calls() -> list[tuple[str, str, Any]]:
    """Every guarded call, about things that are another's or do not exist."""
    found = []
    for route in ROUTES:
        if not route.open and route.path not in FOR_ALL:
            path = "/".join("0" * 32 if part.startswith("{") else part for part in route.path.split("/"))
            nouns = [part for part in path.split("/") if part in BODIES]
            body = BODIES[nouns[-1]] if route.body is not None else None
            found.append((route.method, path.removeprefix("/v3"), body))
    return found


def test_a_member_is_refused_alike_whatever_exists(cloud: Cloud) -> None:
    admin = cloud.id("project", "admin")
    assert len(calls()) > 90
    for method, path, body in calls():
        reply = cloud.call(method, path, body, token=cloud.demo)
        assert reply.status == 403, (method, path, reply.body)
        assert reply.json["error"]["message"].startswith(
            "You are not authorized to perform the requested action: identity:"
        )
    there, not_there = (cloud.call("GET", f"/projects/{id}", token=cloud.demo) for id in (admin, "0" * 32))
    assert (there.status, there.json) == (not_there.status, not_there.json)


def test_an_administrator_is_told_what_is_missing(cloud: Cloud) -> None:
    for method, path, body in calls():
        reply = cloud.call(method, path, body, token=cloud.admin)
        assert reply.status in (200, 201, 204, 400, 401, 403, 404), (method, path, reply.body)
        if "0" * 32 in path and reply.status != 404:
            exempt = ("application_credentials", "access_rules", "password", "/regions")
            assert any(part in path for part in exempt), (method, path, reply.status)


def test_what_a_member_reads_of_his_own(cloud: Cloud) -> None:
    user, project = cloud.id("user", "demo"), cloud.id("project", "demo")
    for path in (
        f"/users/{user}",
        f"/users/{user}/projects",
        f"/users/{user}/groups",
        f"/users/{user}/application_credentials",
        f"/users/{user}/access_rules",
        f"/projects/{project}",
        f"/projects/{project}/tags",
        f"/role_assignments?user.id={user}",
    ):
        assert cloud.call("GET", path, token=cloud.demo).status == 200, path
    for noun, id in (("user", user), ("project", project)):
        assert cloud.call("PATCH", f"/{noun}s/{id}", {noun: {"description": "x"}}, token=cloud.demo).status == 403


@pytest.mark.parametrize("role", ["manager", "member", "reader", "service"])
def test_no_role_but_admin_changes_anything(cloud: Cloud, role: str) -> None:
    cloud.made("user", name="ann", password="x")
    project = cloud.made("project", name="p")["id"]
    cloud.grant(f"projects/{project}", "ann", role)
    token = cloud.token("ann", "x", {"project": {"id": project}})
    for method, path, body in calls():
        if method != "GET":
            assert cloud.call(method, path, body, token=token).status == 403


def test_a_reader_of_the_system_reads_all_and_changes_nothing(cloud: Cloud) -> None:
    cloud.made("user", name="ann", password="x")
    cloud.grant("system", "ann", "reader")
    token = cloud.token("ann", "x", {"system": {"all": True}})
    for path in (
        "/users",
        "/projects",
        "/domains",
        "/roles",
        "/groups",
        "/services",
        "/endpoints",
        "/role_assignments",
    ):
        assert cloud.call("GET", path, token=token).status == 200
    assert cloud.call("POST", "/projects", {"project": {"name": "x"}}, token=token).status == 403
