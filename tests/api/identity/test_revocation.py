"""What ends a token: exactly what should, at once, in every process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from moorage.database import Database
from moorage.identity.tokens import Tokens
from tests.api.identity.conftest import Cloud


def valid(cloud: Cloud, token: str) -> bool:
    status = cloud.call("GET", "/auth/projects", token=token).status
    assert status in (200, 401)
    return status == 200


@pytest.fixture
def ann(cloud: Cloud) -> str:
    """A user with a role on a project, who has used her token."""
    project = cloud.made("project", name="p")
    user = cloud.made("user", name="ann", password="first", default_project_id=project["id"])
    cloud.grant(f"projects/{project['id']}", "ann", "member")
    assert valid(cloud, cloud.token("ann", "first"))
    return str(user["id"])


def test_a_password_change_ends_older_tokens_and_no_newer_one_whatever_the_second(cloud: Cloud, ann: str) -> None:
    for n in range(5):
        old, new = f"{n}", f"{n + 1}"
        cloud.ask("PATCH", f"/users/{ann}", 200, {"user": {"password": old}})
        before = cloud.token("ann", old)
        body = {"user": {"original_password": old, "password": new}}
        assert cloud.call("POST", f"/users/{ann}/password", body, token=before).status == 204
        after = cloud.token("ann", new)
        assert (valid(cloud, before), valid(cloud, after)) == (False, True)
        assert cloud.login("ann", old).status == 401


def test_a_wrong_original_password_changes_nothing(cloud: Cloud, ann: str) -> None:
    token = cloud.token("ann", "first")
    body = {"user": {"original_password": "wrong", "password": "x"}}
    reply = cloud.call("POST", f"/users/{ann}/password", body, token=token)
    assert (reply.status, reply.json["error"]["title"]) == (401, "Unauthorized")
    assert valid(cloud, token)


def off_and_on(cloud: Cloud, path: str, noun: str) -> None:
    cloud.ask("PATCH", path, 200, {noun: {"enabled": False}})
    assert cloud.login("ann", "first", {"project": {"name": "p", "domain": {"id": "default"}}}).status == 401


def test_a_disabled_user_is_out_and_stays_out_with_old_tokens(cloud: Cloud, ann: str) -> None:
    token = cloud.token("ann", "first")
    off_and_on(cloud, f"/users/{ann}", "user")
    assert not valid(cloud, token)
    cloud.ask("PATCH", f"/users/{ann}", 200, {"user": {"enabled": True}})
    assert not valid(cloud, token)
    assert valid(cloud, cloud.token("ann", "first"))


def test_a_disabled_project_admits_nobody(cloud: Cloud, ann: str) -> None:
    token, unscoped = cloud.token("ann", "first"), cloud.token("ann", "first", "unscoped")
    off_and_on(cloud, f"/projects/{cloud.id('project', 'p')}", "project")
    assert (valid(cloud, token), valid(cloud, unscoped)) == (False, True)
    assert "project" not in cloud.login("ann", "first").json["token"]  # her default project is of no use: unscoped
    cloud.ask("PATCH", f"/projects/{cloud.id('project', 'p')}", 200, {"project": {"enabled": True}})
    assert valid(cloud, token)


def test_a_disabled_domain_admits_nobody_of_it(cloud: Cloud) -> None:
    domain = cloud.made("domain", name="d")["id"]
    project = cloud.made("project", name="p", domain_id=domain)["id"]
    cloud.made("user", name="bob", password="x", domain_id=domain, default_project_id=project)
    cloud.grant(f"projects/{project}", "bob", "member")
    token = cloud.login("bob", "x", domain={"id": domain}).headers["x-subject-token"]
    assert valid(cloud, token)
    cloud.ask("PATCH", f"/domains/{domain}", 200, {"domain": {"enabled": False}})
    assert not valid(cloud, token)
    assert cloud.login("bob", "x", domain={"id": domain}).status == 401
    cloud.ask("PATCH", f"/domains/{domain}", 200, {"domain": {"enabled": True}})
    assert not valid(cloud, token)
    assert cloud.login("bob", "x", domain={"id": domain}).status == 201


ENDS: dict[str, Callable[[Cloud, str], tuple[str, str]]] = {
    "the role taken away": lambda c, ann: (
        "DELETE",
        f"/projects/{c.id('project', 'p')}/users/{ann}/roles/{c.id('role', 'member')}",
    ),
    "the project deleted": lambda c, ann: ("DELETE", f"/projects/{c.id('project', 'p')}"),
    "the user deleted": lambda c, ann: ("DELETE", f"/users/{ann}"),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_what_ends_a_token(cloud: Cloud, ann: str, end: Callable[[Cloud, str], tuple[str, str]]) -> None:
    token = cloud.token("ann", "first")
    assert valid(cloud, token)
    method, path = end(cloud, ann)
    cloud.ask(method, path, 204)
    assert not valid(cloud, token)


def test_revoking_one_token_leaves_its_siblings_and_its_parent(cloud: Cloud, ann: str) -> None:
    parent = cloud.token("ann", "first", "unscoped")
    body = {
        "auth": {
            "identity": {"methods": ["token"], "token": {"id": parent}},
            "scope": {"project": {"id": cloud.id("project", "p")}},
        }
    }
    children = [cloud.call("POST", "/auth/tokens", body).headers["x-subject-token"] for _ in range(2)]
    gone = {"x-subject-token": children[0]}
    assert cloud.call("DELETE", "/auth/tokens", token=cloud.admin, headers=gone).status == 204
    assert [valid(cloud, token) for token in (*children, parent)] == [False, True, True]


def test_another_process_notices_at_once(cloud: Cloud, ann: str, database: Database, state_dir: Path) -> None:
    other = Cloud(Database(database.url), state_dir, cloud.tokens.settings)
    token = cloud.token("ann", "first")
    assert valid(other, token)
    assert valid(other, token)
    cloud.ask("PATCH", f"/users/{ann}", 200, {"user": {"enabled": False}})
    assert not valid(other, token)
    other.close()
    other.database.close()


def test_rotated_keys_are_noticed_by_every_process(cloud: Cloud, database: Database) -> None:
    other = Tokens(database, cloud.keys, cloud.tokens.settings)
    before = cloud.token("demo")
    assert other.caller({"x-auth-token": before}, "r").user_name == "demo"
    other.keys.rotate()
    after = cloud.token("demo")
    for token in (before, after):
        assert other.caller({"x-auth-token": token}, "r").user_name == "demo"
        assert valid(cloud, token)
    (cloud.keys / "tokens.json").unlink()
    assert not valid(cloud, after)
    assert valid(cloud, cloud.token("demo"))


def test_what_a_transaction_saw_that_was_rolled_back_is_not_remembered(
    cloud: Cloud, ann: str, database: Database
) -> None:
    from moorage.core.caller import NOBODY
    from moorage.core.errors import Unauthenticated
    from moorage.identity import user

    token = cloud.token("ann", "first")
    with pytest.raises(ZeroDivisionError), database.write() as tx:
        user.update(tx, NOBODY, ann, {"enabled": False}, None)
        with pytest.raises(Unauthenticated):
            cloud.tokens.validate(tx, token)
        raise ZeroDivisionError
    assert valid(cloud, token)
    with database.write() as tx:
        user.update(tx, NOBODY, ann, {"description": "same number, another change"}, None)
        assert cloud.tokens.validate(tx, token).user["description"] is not None
    assert valid(cloud, token)
