"""Application credentials: a program's way in, never wider than its user's."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.identity.conftest import Cloud, Reply


class Program:
    """The demo user's application credentials."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.user = cloud.id("user", "demo")
        self.path = f"/users/{self.user}/application_credentials"

    def create(self, token: str | None = None, **fields: Any) -> Reply:
        body = {"application_credential": {"name": "ac", **fields}}
        return self.cloud.call("POST", self.path, body, token=token or self.cloud.demo)

    def made(self, **fields: Any) -> Any:
        reply = self.create(**fields)
        assert reply.status == 201, reply.body
        return reply.json["application_credential"]

    def login(self, scope: Any = None, **who: Any) -> Reply:
        method = "application_credential"
        auth: dict[str, Any] = {"identity": {"methods": [method], method: who}}
        return self.cloud.call("POST", "/auth/tokens", {"auth": auth if scope is None else {**auth, "scope": scope}})


@pytest.fixture
def program(cloud: Cloud) -> Program:
    return Program(cloud)


def test_the_secret_is_shown_once_and_opens_the_door(cloud: Cloud, program: Program) -> None:
    made = program.made(roles=[{"name": "member"}])
    assert {r["name"] for r in made["roles"]} == {"member", "reader"}
    assert len(made["secret"]) >= 43
    reply = program.login(id=made["id"], secret=made["secret"])
    token = reply.json["token"]
    assert (reply.status, token["methods"], token["project"]["name"]) == (201, ["application_credential"], "demo")
    assert token["application_credential"] == {"id": made["id"], "name": "ac", "restricted": True}
    assert program.login(name="ac", secret=made["secret"], user={"id": program.user}).status == 201
    by_name = {"name": "demo", "domain": {"name": "Default"}}
    assert program.login(name="ac", secret=made["secret"], user=by_name).status == 201
    for shown in (
        cloud.call("GET", f"{program.path}/{made['id']}", token=cloud.demo).json["application_credential"],
        cloud.call("GET", f"{program.path}?name=ac", token=cloud.demo).json["application_credentials"][0],
    ):
        assert shown == {k: v for k, v in made.items() if k != "secret"}
    from sqlalchemy import select

    from moorage.identity.records import application_credentials

    with cloud.database.read() as tx:
        kept = tx.value(select(application_credentials.c.secret))
    assert made["secret"] not in kept


def test_a_chosen_secret_works_too(program: Program) -> None:
    made = program.made(secret="hunter2")
    assert made["secret"] == "hunter2"
    assert program.login(id=made["id"], secret="hunter2").status == 201
    assert program.login(id=made["id"], secret="hunter3").status == 401


@pytest.mark.parametrize("who", [{"secret": "x"}, {"id": "0" * 32}, {"id": "x\u2603", "secret": "x"}])
def test_who_does_not_know_it_stays_out(program: Program, who: dict[str, Any]) -> None:
    made = program.made()
    assert program.login(**{"id": made["id"], "secret": made["secret"], **who}).status == 401
    assert program.login(name="other", secret=made["secret"], user={"id": program.user}).status == 401
    assert program.login(name="ac", secret=made["secret"], user={"id": "0" * 32}).status == 401


def test_a_restricted_one_makes_and_deletes_no_others(cloud: Cloud, program: Program) -> None:
    made = program.made()
    token = program.login(id=made["id"], secret=made["secret"]).headers["x-subject-token"]
    assert program.create(token, name="second").status == 403
    assert cloud.call("DELETE", f"{program.path}/{made['id']}", token=token).status == 403
    free = program.made(name="free", unrestricted=True)
    token = program.login(id=free["id"], secret=free["secret"]).headers["x-subject-token"]
    assert program.create(token, name="third").status == 201


def test_its_token_opens_no_other_scope_and_stays_its_token(cloud: Cloud, program: Program) -> None:
    made = program.made()
    member = cloud.made("project", name="second")["id"]
    cloud.grant(f"projects/{member}", "demo", "member")
    token = program.login(id=made["id"], secret=made["secret"]).headers["x-subject-token"]
    for scope in ({"project": {"id": member}}, "unscoped"):
        body = {"auth": {"identity": {"methods": ["token"], "token": {"id": token}}, "scope": scope}}
        assert cloud.call("POST", "/auth/tokens", body).status == 403
        assert program.login(scope, id=made["id"], secret=made["secret"]).status == 403
    again = cloud.call("POST", "/auth/tokens", {"auth": {"identity": {"methods": ["token"], "token": {"id": token}}}})
    assert again.json["token"]["application_credential"]["restricted"]
    assert program.create(again.headers["x-subject-token"], name="second").status == 403


def test_it_gives_what_its_user_still_has_and_no_more(cloud: Cloud, program: Program) -> None:
    assert program.create(roles=[{"name": "admin"}]).status == 400
    assert program.create(roles=[{"id": "0" * 32}]).status == 400
    made = program.made(roles=[{"name": "reader"}])
    reply = program.login(id=made["id"], secret=made["secret"])
    assert [r["name"] for r in reply.json["token"]["roles"]] == ["reader"]
    token = reply.headers["x-subject-token"]
    demo, member = cloud.id("project", "demo"), cloud.id("role", "member")
    cloud.ask("DELETE", f"/projects/{demo}/users/{program.user}/roles/{member}", 204)
    assert cloud.call("GET", "/auth/projects", token=token).status == 401
    assert program.login(id=made["id"], secret=made["secret"]).status == 401


def test_its_tokens_end_with_it(cloud: Cloud, program: Program) -> None:
    made = program.made()
    token = program.login(id=made["id"], secret=made["secret"]).headers["x-subject-token"]
    assert cloud.call("GET", "/auth/projects", token=token).status == 200
    assert cloud.call("DELETE", f"{program.path}/{made['id']}", token=cloud.demo).status == 204
    assert cloud.call("GET", "/auth/projects", token=token).status == 401
    assert cloud.call("DELETE", f"{program.path}/{made['id']}", token=cloud.demo).status == 404


def test_it_expires(cloud: Cloud, program: Program, later: Callable[[float], None]) -> None:
    assert program.create(expires_at="2020-01-01T00:00:00").status == 400
    assert program.create(expires_at="soon").status == 400
    assert program.create(expires_at="9999-99-99").status == 400
    soon = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 600))
    made = program.made(expires_at=soon)
    assert made["expires_at"] == f"{soon}.000000"
    reply = program.login(id=made["id"], secret=made["secret"])
    assert reply.json["token"]["expires_at"] == f"{soon}.000000Z"
    later(601)
    assert program.login(id=made["id"], secret=made["secret"]).status == 401
    assert cloud.call("GET", "/auth/projects", token=reply.headers["x-subject-token"]).status == 401


def test_names_are_taken_once_and_nobody_makes_them_for_another(cloud: Cloud, program: Program) -> None:
    program.made()
    assert program.create().status == 409
    assert program.create(cloud.admin, name="other").status == 403
    assert program.create(cloud.token("demo", scope="unscoped"), name="other").status == 400
    assert (
        program.create(name="other", access_rules=[{"path": "/v2/images", "method": "GET", "service": "image"}]).status
        == 400
    )
    assert cloud.call("GET", program.path, token=cloud.token("service")).status == 403
    assert [a["name"] for a in cloud.ask("GET", program.path, 200)["application_credentials"]] == ["ac"]
