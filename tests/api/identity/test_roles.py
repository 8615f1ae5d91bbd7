"""Who has which role where: given, by group, inherited, implied; and how that is listed."""

import pytest

from tests.api.identity.conftest import Cloud


def roles_in(cloud: Cloud, user: str, project: str) -> set[str]:
    reply = cloud.login(user, "x", {"project": {"id": project}})
    assert reply.status in (201, 401)
    return {role["name"] for role in reply.json["token"]["roles"]} if reply.status == 201 else set()


@pytest.fixture
def place(cloud: Cloud) -> tuple[str, str]:
    """A project, and a user without roles."""
    return cloud.made("project", name="p")["id"], cloud.made("user", name="ann", password="x")["id"]


@pytest.mark.parametrize(
    ("given", "held"),
    [
        ("admin", {"admin", "manager", "member", "reader"}),
        ("manager", {"manager", "member", "reader"}),
        ("member", {"member", "reader"}),
        ("reader", {"reader"}),
        ("service", {"service"}),
    ],
)
def test_what_a_role_implies(cloud: Cloud, place: tuple[str, str], given: str, held: set[str]) -> None:
    project, _ = place
    assert roles_in(cloud, "ann", project) == set()
    cloud.grant(f"projects/{project}", "ann", given)
    assert roles_in(cloud, "ann", project) == held


def test_a_grants_life(cloud: Cloud, place: tuple[str, str]) -> None:
    project, user = place
    group = cloud.made("group", name="g")["id"]
    member = cloud.id("role", "member")
    for target in (f"projects/{project}", "domains/default", "system"):
        for actor in (f"users/{user}", f"groups/{group}"):
            at = f"/{target}/{actor}/roles"
            assert cloud.ask("GET", at, 200)["roles"] == []
            cloud.ask("GET", f"{at}/{member}", 404)
            cloud.ask("DELETE", f"{at}/{member}", 404)
            cloud.ask("PUT", f"{at}/{member}", 204)
            cloud.ask("PUT", f"{at}/{member}", 204)
            assert cloud.call("HEAD", f"{at}/{member}", token=cloud.admin).status == 204
            assert [r["name"] for r in cloud.ask("GET", at, 200)["roles"]] == ["member"]
            cloud.ask("DELETE", f"{at}/{member}", 204)
            cloud.ask("PUT", f"{at}/nonesuch", 404)
    cloud.ask("PUT", f"/projects/{project}/users/nobody/roles/{member}", 404)
    cloud.ask("PUT", f"/projects/nowhere/users/{user}/roles/{member}", 404)


def test_a_groups_roles_are_its_users(cloud: Cloud, place: tuple[str, str]) -> None:
    project, user = place
    group = cloud.made("group", name="g")["id"]
    cloud.ask("PUT", f"/projects/{project}/groups/{group}/roles/{cloud.id('role', 'member')}", 204)
    assert roles_in(cloud, "ann", project) == set()
    cloud.ask("PUT", f"/groups/{group}/users/{user}", 204)
    assert roles_in(cloud, "ann", project) == {"member", "reader"}
    token = cloud.token("ann", "x", {"project": {"id": project}})
    cloud.ask("DELETE", f"/groups/{group}/users/{user}", 204)
    assert cloud.call("GET", "/auth/projects", token=token).status == 401


def test_inherited_roles_hold_below_and_not_at_their_target(cloud: Cloud, place: tuple[str, str]) -> None:
    project, user = place
    below = cloud.made("project", name="below", parent_id=project)["id"]
    member = cloud.id("role", "member")
    at = f"/OS-INHERIT/projects/{project}/users/{user}/roles"
    cloud.ask("PUT", f"{at}/{member}/inherited_to_projects", 204)
    assert cloud.call("HEAD", f"{at}/{member}/inherited_to_projects", token=cloud.admin).status == 204
    assert [r["name"] for r in cloud.ask("GET", f"{at}/inherited_to_projects", 200)["roles"]] == ["member"]
    assert (roles_in(cloud, "ann", project), roles_in(cloud, "ann", below)) == (set(), {"member", "reader"})
    cloud.ask("DELETE", f"{at}/{member}/inherited_to_projects", 204)
    cloud.ask("PUT", f"/OS-INHERIT/domains/default/users/{user}/roles/{member}/inherited_to_projects", 204)
    assert roles_in(cloud, "ann", project) == roles_in(cloud, "ann", below) == {"member", "reader"}
    assert cloud.login("ann", "x", {"domain": {"id": "default"}}).status == 401


def test_implications_can_be_made_and_undone_but_not_in_circles(cloud: Cloud, place: tuple[str, str]) -> None:
    project, _ = place
    operator, member = cloud.made("role", name="operator")["id"], cloud.id("role", "member")
    cloud.grant(f"projects/{project}", "ann", "operator")
    assert roles_in(cloud, "ann", project) == {"operator"}
    at = f"/roles/{operator}/implies/{member}"
    cloud.ask("GET", at, 404)
    made = cloud.ask("PUT", at, 201)["role_inference"]
    assert (made["prior_role"]["name"], made["implies"]["name"]) == ("operator", "member")
    assert roles_in(cloud, "ann", project) == {"operator", "member", "reader"}
    assert cloud.call("HEAD", at, token=cloud.admin).status == 204
    listed = cloud.ask("GET", f"/roles/{operator}/implies", 200)["role_inference"]
    assert [role["name"] for role in listed["implies"]] == ["member"]
    cloud.ask("PUT", f"/roles/{cloud.id('role', 'reader')}/implies/{operator}", 400)
    cloud.ask("PUT", f"/roles/{operator}/implies/{cloud.id('role', 'admin')}", 400)
    cloud.ask("PUT", f"/roles/{operator}/implies/{operator}", 400)
    pairs = {
        (i["prior_role"]["name"], implied["name"])
        for i in cloud.ask("GET", "/role_inferences", 200)["role_inferences"]
        for implied in i["implies"]
    }
    assert pairs == {("admin", "manager"), ("manager", "member"), ("member", "reader"), ("operator", "member")}
    cloud.ask("DELETE", at, 204)
    cloud.ask("DELETE", at, 404)
    assert roles_in(cloud, "ann", project) == {"operator"}


def listed(cloud: Cloud, query: str) -> set[tuple[str, str, str]]:
    """Actor, scope and role of the assignments, by name."""
    found = cloud.ask("GET", f"/role_assignments?include_names&{query}", 200)["role_assignments"]
    return {
        (
            (a.get("user") or a.get("group"))["name"],
            next((s["name"] for k, s in a["scope"].items() if k in ("project", "domain")), "system"),
            a["role"]["name"],
        )
        for a in found
    }


def test_assignments_are_listed_as_made_and_as_they_work(cloud: Cloud, place: tuple[str, str]) -> None:
    project, user = place
    below = cloud.made("project", name="below", parent_id=project)["id"]
    group = cloud.made("group", name="g")["id"]
    member, reader = cloud.id("role", "member"), cloud.id("role", "reader")
    cloud.ask("PUT", f"/groups/{group}/users/{user}", 204)
    cloud.ask("PUT", f"/projects/{project}/groups/{group}/roles/{member}", 204)
    cloud.ask("PUT", f"/OS-INHERIT/projects/{project}/users/{user}/roles/{reader}/inherited_to_projects", 204)
    assert listed(cloud, f"scope.project.id={project}") == {("g", "p", "member"), ("ann", "p", "reader")}
    assert listed(cloud, f"user.id={user}") == {("ann", "p", "reader")}
    assert listed(cloud, f"group.id={group}") == {("g", "p", "member")}
    assert listed(cloud, f"user.id={user}&effective") == {
        ("ann", "p", "member"),
        ("ann", "p", "reader"),
        ("ann", "below", "reader"),
    }
    assert listed(cloud, f"scope.project.id={below}&effective=True") == {("ann", "below", "reader")}
    subtree = listed(cloud, f"scope.project.id={project}&include_subtree&effective&role.id={reader}")
    assert subtree == {("ann", "p", "reader"), ("ann", "below", "reader")}
    assert ("admin", "system", "admin") in listed(cloud, "scope.system=all")
    assert listed(cloud, "scope.OS-INHERIT:inherited_to=projects") == {("ann", "p", "reader")}
    implied = cloud.ask("GET", f"/role_assignments?user.id={user}&effective&role.id={reader}", 200)["role_assignments"]
    assert {frozenset(a["links"]) for a in implied} == {
        frozenset({"assignment", "membership", "prior_role"}),
        frozenset({"assignment"}),
    }
    cloud.ask("GET", f"/role_assignments?scope.project.id={project}&scope.domain.id=default", 400)
    cloud.ask("GET", f"/role_assignments?group.id={group}&effective", 400)
    cloud.ask("GET", "/role_assignments?include_subtree", 400)


def test_deleting_leaves_no_assignment_behind(cloud: Cloud, place: tuple[str, str]) -> None:
    project, user = place
    group = cloud.made("group", name="g")["id"]
    before = listed(cloud, "")
    member = cloud.made("role", name="extra")["id"]
    cloud.ask("PUT", f"/projects/{project}/groups/{group}/roles/{member}", 204)
    cloud.ask("PUT", f"/domains/default/users/{user}/roles/{member}", 204)
    cloud.ask("DELETE", f"/roles/{member}", 204)
    assert listed(cloud, "") == before
    cloud.ask("PUT", f"/projects/{project}/groups/{group}/roles/{cloud.id('role', 'member')}", 204)
    cloud.ask("DELETE", f"/groups/{group}", 204)
    assert listed(cloud, "") == before
