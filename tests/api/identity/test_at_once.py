"""Two clients at once: one of them wins, the other is told, nothing is lost."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from tests.api.identity.conftest import Cloud

CLIENTS = 4


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """What `work` returned to each client, all having begun together."""
    barrier = Barrier(CLIENTS)

    def one(n: int) -> Any:
        barrier.wait()
        return work(n)

    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(one, range(CLIENTS)))


@pytest.mark.parametrize("noun", ["project", "user", "group", "role", "domain"])
def test_a_name_is_given_once(cloud: Cloud, noun: str) -> None:
    token = cloud.admin
    for n in range(3):
        body = {noun: {"name": f"n{n}"}}
        got = at_once(lambda _, body=body: cloud.call("POST", f"/{noun}s", body, token=token).status)
        assert sorted(got) == [201] + [409] * (CLIENTS - 1)


def test_grants_made_at_once_are_one_and_are_taken_away_once(cloud: Cloud) -> None:
    project, user, role = cloud.made("project", name="p")["id"], cloud.id("user", "demo"), cloud.id("role", "member")
    at, token = f"/projects/{project}/users/{user}/roles/{role}", cloud.admin
    for _ in range(3):
        assert set(at_once(lambda _: cloud.call("PUT", at, token=token).status)) == {204}
        assert sorted(at_once(lambda _: cloud.call("DELETE", at, token=token).status)) == [204] + [404] * (CLIENTS - 1)


def test_of_two_password_changes_one_holds_and_its_tokens_are_the_only_ones(cloud: Cloud) -> None:
    user = cloud.made("user", name="ann", password="first")["id"]
    token = cloud.token("ann", "first")

    def change(n: int) -> int:
        body = {"user": {"original_password": "first", "password": f"new{n}"}}
        return cloud.call("POST", f"/users/{user}/password", body, token=token).status

    got = at_once(change)
    assert got.count(204) == 1
    assert set(got) <= {204, 400, 401}
    winner = got.index(204)
    assert [cloud.login("ann", f"new{n}").status for n in range(CLIENTS)] == [
        201 if n == winner else 401 for n in range(CLIENTS)
    ]


def test_logging_in_while_the_password_changes_gives_no_token_that_outlives_it(cloud: Cloud) -> None:
    user = cloud.made("user", name="ann", password="0")["id"]
    token = cloud.admin
    for n in range(4):

        def work(client: int, n: int = n) -> Any:
            if client == 0:
                return cloud.call("PATCH", f"/users/{user}", {"user": {"password": f"{n + 1}"}}, token=token)
            return cloud.login("ann", f"{n}")

        _, *logins = at_once(work)
        for reply in logins:
            if reply.status == 201:
                old = reply.headers["x-subject-token"]
                assert cloud.call("GET", "/auth/projects", token=old).status == 401


def test_tags_that_are_added_at_once_are_all_there(cloud: Cloud) -> None:
    id, token = cloud.made("project", name="p")["id"], cloud.admin
    assert set(at_once(lambda n: cloud.call("PUT", f"/projects/{id}/tags/t{n}", token=token).status)) == {201}
    assert cloud.ask("GET", f"/projects/{id}/tags", 200)["tags"] == [f"t{n}" for n in range(CLIENTS)]


def test_what_is_given_to_a_user_while_he_is_deleted_goes_with_him(cloud: Cloud) -> None:
    project, role, token = cloud.made("project", name="p")["id"], cloud.id("role", "member"), cloud.admin
    group = cloud.made("group", name="g")["id"]
    for n in range(4):
        user = cloud.made("user", name=f"u{n}", password="x", default_project_id=project)["id"]
        cloud.grant(f"projects/{project}", f"u{n}", "member")
        his = cloud.token(f"u{n}", "x")
        body = {"application_credential": {"name": "ac"}}
        calls: list[tuple[str, str, Any, str]] = [
            ("DELETE", f"/users/{user}", None, token),
            ("POST", f"/users/{user}/application_credentials", body, his),
            ("PUT", f"/groups/{group}/users/{user}", None, token),
            ("PUT", f"/domains/default/users/{user}/roles/{role}", None, token),
        ]

        def work(client: int, calls: list[tuple[str, str, Any, str]] = calls) -> int:
            method, path, content, by = calls[client]
            return cloud.call(method, path, content, token=by).status

        first, *others = at_once(work)
        assert first == 204
        assert set(others) <= {201, 204, 401, 404}
        assert user not in str(cloud.ask("GET", "/role_assignments", 200))
        assert cloud.ask("GET", f"/groups/{group}/users", 200)["users"] == []
