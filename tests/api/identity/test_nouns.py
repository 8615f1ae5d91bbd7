"""Making, reading, changing and deleting the nouns of Identity, as an administrator."""

from typing import Any

import pytest

from tests.api.identity.conftest import BASE, Cloud

#: What a noun is made with, what is changed, and what its answers contain besides.
NOUNS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "project": (
        {"name": "n", "description": "d", "tags": ["b", "a"]},
        {"name": "m", "enabled": False},
        {"domain_id": "default", "parent_id": "default", "is_domain": False, "options": {}},
    ),
    "user": (
        {"name": "n", "password": "secret", "email": "n@example.org", "description": "d"},
        {"name": "m", "description": None, "color": "blue"},
        {"domain_id": "default", "password_expires_at": None, "options": {}, "enabled": True},
    ),
    "group": ({"name": "n", "description": "d"}, {"name": "m"}, {"domain_id": "default"}),
    "role": ({"name": "n", "description": "d"}, {"name": "m"}, {"domain_id": None, "options": {}}),
    "domain": ({"name": "n", "description": None}, {"name": "m", "enabled": False}, {"tags": [], "options": {}}),
    "region": ({"id": "n", "description": "d"}, {"description": "e"}, {"parent_region_id": None}),
    "service": ({"type": "n", "name": "n", "description": "d"}, {"type": "m", "enabled": False}, {}),
}


@pytest.mark.parametrize("noun", NOUNS)
def test_a_nouns_life(cloud: Cloud, noun: str) -> None:
    create, change, more = NOUNS[noun]
    plural = f"/{noun}s"
    made = cloud.made(noun, **create)
    id = made["id"]
    expected = {k: v for k, v in {**create, **more}.items() if k != "password"}
    assert {k: made[k] for k in expected} == expected
    assert "password" not in made
    assert made["links"] == {"self": f"{BASE}/identity/v3{plural}/{id}"}
    assert cloud.ask("GET", f"{plural}/{id}", 200)[noun] == made
    listed = cloud.ask("GET", plural, 200)
    assert made in listed[noun + "s"]
    assert listed["links"] == {"next": None, "previous": None, "self": f"{BASE}/identity/v3{plural}"}
    after = cloud.ask("PATCH", f"{plural}/{id}", 200, {noun: change})[noun]
    assert {k: after.get(k) for k in change} == change
    cloud.ask("DELETE", f"{plural}/{id}", 204)
    for method, body in (("GET", None), ("PATCH", {noun: change}), ("DELETE", None)):
        assert cloud.ask(method, f"{plural}/{id}", 404, body)["error"]["message"] == f"Could not find {noun}: {id}."


@pytest.mark.parametrize("noun", ["project", "user", "group", "role", "domain"])
def test_names_are_taken_once(cloud: Cloud, noun: str) -> None:
    cloud.made(noun, name="n")
    other = cloud.made(noun, name="other")
    assert "n" in cloud.ask("POST", f"/{noun}s", 409, {noun: {"name": "n"}})["error"]["message"]
    cloud.ask("PATCH", f"/{noun}s/{other['id']}", 409, {noun: {"name": "n"}})
    cloud.ask("PATCH", f"/{noun}s/{other['id']}", 200, {noun: {"name": "other"}})
    found = cloud.ask("GET", f"/{noun}s?name=n", 200)[noun + "s"]
    assert [one["name"] for one in found] == ["n"]
    assert cloud.ask("GET", f"/{noun}s?name=nonesuch", 200)[noun + "s"] == []
    cloud.ask("GET", f"/{noun}s/n", 404)


@pytest.mark.parametrize("noun", ["project", "user", "group"])
def test_a_name_may_be_in_two_domains(cloud: Cloud, noun: str) -> None:
    other = cloud.made("domain", name="d")["id"]
    mine, theirs = cloud.made(noun, name="n"), cloud.made(noun, name="n", domain_id=other)
    found = cloud.ask("GET", f"/{noun}s?name=n&domain_id={other}", 200)[noun + "s"]
    assert [one["id"] for one in found] == [theirs["id"]]
    assert mine["domain_id"] == "default"
    cloud.ask("PATCH", f"/{noun}s/{mine['id']}", 400, {noun: {"domain_id": other}})
    cloud.ask("POST", f"/{noun}s", 404, {noun: {"name": "n", "domain_id": "nowhere"}})


def test_extra_attributes_are_kept_and_shown(cloud: Cloud) -> None:
    user = cloud.made("user", name="n", email="a@b.example", color={"r": 1})
    after = cloud.ask("PATCH", f"/users/{user['id']}", 200, {"user": {"color": None, "size": "xl"}})["user"]
    assert after["extra"] == {"email": "a@b.example", "size": "xl"}
    assert (after["email"], after["size"], "color" in after) == ("a@b.example", "xl", False)
    for forged in ({"id": "x"}, {"links": {}}, {"password_expires_at": "2020"}):
        again = cloud.ask("PATCH", f"/users/{user['id']}", 200, {"user": forged})["user"]
        assert (again["id"], again["links"], again["password_expires_at"]) == (user["id"], user["links"], None)
    cloud.ask("PATCH", f"/users/{user['id']}", 400, {"user": {"big": "x" * 9000}})


def test_what_came_with_the_cloud_cannot_be_bent(cloud: Cloud) -> None:
    admin = cloud.id("role", "admin")
    cloud.ask("DELETE", f"/roles/{admin}", 403)
    cloud.ask("PATCH", f"/roles/{admin}", 403, {"role": {"name": "root"}})
    cloud.ask("PATCH", f"/roles/{admin}", 200, {"role": {"options": {"immutable": False}, "description": "all"}})
    cloud.ask("DELETE", "/domains/default", 403)


def test_a_domain_goes_with_all_that_is_in_it_once_it_is_disabled(cloud: Cloud) -> None:
    domain = cloud.made("domain", name="d")["id"]
    made = [cloud.made(noun, name="n", domain_id=domain) for noun in ("project", "user", "group")]
    cloud.ask("DELETE", f"/domains/{domain}", 403)
    cloud.ask("PATCH", f"/domains/{domain}", 200, {"domain": {"enabled": False}})
    cloud.ask("DELETE", f"/domains/{domain}", 204)
    for one, noun in zip(made, ("project", "user", "group"), strict=True):
        cloud.ask("GET", f"/{noun}s/{one['id']}", 404)


def test_projects_below_projects(cloud: Cloud) -> None:
    top = cloud.made("project", name="p0")
    chain = [top]
    for n in range(1, 5):
        chain.append(cloud.made("project", name=f"p{n}", parent_id=chain[-1]["id"]))
    assert chain[1]["parent_id"] == top["id"]
    deepest = {"project": {"name": "p5", "parent_id": chain[-1]["id"]}}
    assert "nested" in cloud.ask("POST", "/projects", 400, deepest)["error"]["message"]
    cloud.ask("DELETE", f"/projects/{top['id']}", 409)
    cloud.ask("PATCH", f"/projects/{top['id']}", 409, {"project": {"enabled": False}})
    cloud.ask("PATCH", f"/projects/{top['id']}", 400, {"project": {"parent_id": chain[1]["id"]}})
    middle = cloud.ask("GET", f"/projects/{chain[2]['id']}?parents_as_ids&subtree_as_ids", 200)["project"]
    assert middle["parents"] == {chain[1]["id"]: {top["id"]: {"default": None}}}
    assert middle["subtree"] == {chain[3]["id"]: {chain[4]["id"]: None}}
    found = cloud.ask("GET", f"/projects?parent_id={top['id']}", 200)["projects"]
    assert [p["name"] for p in found] == ["p1"]


def test_tags(cloud: Cloud) -> None:
    id = cloud.made("project", name="n", tags=["a", "b"])["id"]
    cloud.made("project", name="m", tags=["b"])
    at = f"/projects/{id}/tags"

    def named(query: str) -> set[str]:
        return {p["name"] for p in cloud.ask("GET", f"/projects?{query}", 200)["projects"]} & {"n", "m"}

    assert named("tags=b") == {"n", "m"}
    assert (named("tags=a,b"), named("tags-any=a,c"), named("not-tags=a,b"), named("not-tags-any=a")) == (
        {"n"},
        {"n"},
        {"m"},
        {"m"},
    )
    cloud.ask("PUT", at + "/c", 201)
    assert cloud.ask("GET", at, 200)["tags"] == ["a", "b", "c"]
    assert cloud.call("HEAD", at + "/c", token=cloud.admin).status == 204
    cloud.ask("DELETE", at + "/c", 204)
    cloud.ask("DELETE", at + "/c", 404)
    cloud.ask("GET", at + "/c", 404)
    cloud.ask("PUT", at + "/a,b", 400)
    assert cloud.ask("PUT", at, 200, {"tags": ["z"]})["tags"] == ["z"]
    cloud.ask("DELETE", at, 204)
    assert cloud.ask("GET", at, 200)["tags"] == []


def test_groups_and_their_users(cloud: Cloud) -> None:
    group, user = cloud.made("group", name="g")["id"], cloud.made("user", name="u")["id"]
    at = f"/groups/{group}/users/{user}"
    cloud.ask("GET", at, 404)
    cloud.ask("PUT", at, 204)
    cloud.ask("PUT", at, 204)
    assert cloud.call("HEAD", at, token=cloud.admin).status == 204
    assert [u["id"] for u in cloud.ask("GET", f"/groups/{group}/users", 200)["users"]] == [user]
    assert [g["id"] for g in cloud.ask("GET", f"/users/{user}/groups", 200)["groups"]] == [group]
    cloud.ask("DELETE", at, 204)
    cloud.ask("DELETE", at, 404)
    cloud.ask("PUT", f"/groups/{group}/users/nobody", 404)
    cloud.ask("PUT", f"/groups/nothing/users/{user}", 404)


def test_endpoints_and_regions(cloud: Cloud) -> None:
    cloud.made("region", id="r", parent_region_id="RegionOne")
    service = cloud.made("service", type="t")["id"]
    made = cloud.made("endpoint", service_id=service, interface="public", url="http://x/$(project_id)s", region="r")
    assert (made["region"], made["region_id"], made["url"]) == ("r", "r", "http://x/$(project_id)s")
    catalog = {s["type"]: s for s in cloud.login("demo").json["token"]["catalog"]}
    demo = cloud.id("project", "demo")
    assert [e["url"] for e in catalog["t"]["endpoints"]] == [f"http://x/{demo}"]
    cloud.ask("DELETE", "/regions/r", 409)
    cloud.ask("DELETE", "/regions/RegionOne", 409)
    cloud.ask("PATCH", "/regions/RegionOne", 400, {"region": {"parent_region_id": "r"}})
    cloud.ask("POST", "/regions", 409, {"region": {"id": "r"}})
    cloud.ask("PUT", "/regions/r2", 201, {"region": {}})
    for wrong in ({"service_id": "nothing"}, {"region_id": "nowhere"}):
        body = {"endpoint": {"service_id": service, "interface": "admin", "url": "http://y", **wrong}}
        cloud.ask("POST", "/endpoints", 400, body)
        cloud.ask("PATCH", f"/endpoints/{made['id']}", 400, {"endpoint": wrong})
    found = cloud.ask("GET", f"/endpoints?service_id={service}&interface=public&region_id=r", 200)["endpoints"]
    assert [e["id"] for e in found] == [made["id"]]
    cloud.ask("PATCH", f"/endpoints/{made['id']}", 200, {"endpoint": {"enabled": False}})
    assert not any(s["endpoints"] for s in cloud.login("demo").json["token"]["catalog"] if s["type"] == "t")
    cloud.ask("DELETE", f"/services/{service}", 204)
    cloud.ask("GET", f"/endpoints/{made['id']}", 404)


def test_our_own_endpoints_are_shown_where_we_are(cloud: Cloud) -> None:
    image = cloud.ask("GET", "/services?type=image", 200)["services"][0]["id"]
    found = cloud.ask("GET", f"/endpoints?service_id={image}", 200)["endpoints"]
    assert {e["url"] for e in found} == {f"{BASE}/image"}
    assert {e["interface"] for e in found} == {"public", "internal", "admin"}


def test_what_is_not_kept_here_is_empty(cloud: Cloud) -> None:
    admin = cloud.id("user", "admin")
    paths = ("policies", "credentials", "OS-TRUST/trusts", "registered_limits", "limits", f"users/{admin}/access_rules")
    for path in paths:
        body = cloud.ask("GET", f"/{path}", 200)
        assert body[path.split("/")[-1]] == []
    assert cloud.ask("GET", "/limits/model", 200)["model"]["name"] == "flat"
    cloud.ask("POST", "/credentials", 405, {"credential": {}})


def test_changes_are_events(cloud: Cloud) -> None:
    from sqlalchemy import select

    from moorage.operations.records import events

    id = cloud.made("project", name="n")["id"]
    cloud.grant(f"projects/{id}", "demo", "reader")
    cloud.ask("PATCH", f"/projects/{id}", 200, {"project": {"name": "m"}})
    cloud.ask("DELETE", f"/projects/{id}", 204)
    with cloud.database.read() as tx:
        found = tx.all(select(events).where(events.c.project_id == id).order_by(events.c.id))
    assert [e["what"] for e in found] == ["project.created", "role.granted", "project.updated", "project.deleted"]
    assert all(e["request_id"].startswith("req-") and e["facts"]["user_id"] for e in found)
