"""Users on the wire."""

from collections.abc import AsyncIterator
from typing import Any

from moorage.api.identity import asking, bodies, policy, shown
from moorage.api.request import Answer, Request
from moorage.core.errors import Unauthenticated
from moorage.database.transaction import Row
from moorage.identity import assignment, group, passwords, rows, user
from moorage.identity.login import fits
from moorage.identity.records import projects, users

_KNOWN = frozenset({"name", "description", "enabled", "domain_id", "default_project_id", "options"})


async def create(request: Request, chunks: AsyncIterator[bytes]) -> Answer:
    """The user is there, with his password."""
    policy.may_write(request.caller, "create_user")
    asked = (await bodies.read(request, chunks))["user"]
    password = await _digest(request, asked)

    def made() -> Row:
        with request.write() as tx:
            return user.create(tx, request.caller, asking.columns(asked, _KNOWN), password)

    return Answer(201, {"user": shown.user(request, await request.sql(made))})


def index(request: Request) -> Answer:
    """The users that fit the filters."""
    policy.may_read(request.caller, "list_users")
    with request.read() as tx:
        found = rows.listed(
            tx,
            users,
            name=request.asked("name"),
            domain_id=request.asked("domain_id"),
            enabled=asking.flag(request, "enabled"),
        )
    return shown.collection(request, "users", [shown.user(request, row) for row in found])


def show(request: Request) -> Answer:
    """The user."""
    id = request.params["id"]
    policy.may_read(request.caller, "get_user", own=id == request.caller.user_id)
    with request.read() as tx:
        return Answer(200, {"user": shown.user(request, rows.get(tx, users, id))})


async def update(request: Request, chunks: AsyncIterator[bytes]) -> Answer:
    """The user has the values that were asked for; a new password ends all tokens that he has."""
    policy.may_write(request.caller, "update_user")
    asked = (await bodies.read(request, chunks))["user"]
    password = await _digest(request, asked)

    def changed() -> Row:
        with request.write() as tx:
            return user.update(tx, request.caller, request.params["id"], asking.columns(asked, _KNOWN), password)

    row = await request.sql(changed)
    return Answer(200, {"user": shown.changed(row, shown.user(request, row))})


async def change_password(request: Request, chunks: AsyncIterator[bytes]) -> Answer:
    """The user who knew his password has another one; all tokens that he had are over."""
    id = request.params["id"]
    policy.may_write(request.caller, "change_password", own=id == request.caller.user_id)
    asked = (await bodies.read(request, chunks))["user"]

    def kept() -> str | None:
        with request.read() as tx:
            row = rows.find(tx, users, id)
            return row["password"] if row is not None else None

    old = await request.sql(kept)
    turnstile = request.rooms.identity.turnstile
    if not await turnstile.passed(lambda: fits(old, asked["original_password"])):
        raise Unauthenticated()
    new = await turnstile.passed(lambda: passwords.digest(asked["password"]))

    def changed() -> None:
        with request.write() as tx:
            user.change_password(tx, request.caller, id, old, new)

    await request.sql(changed)
    return Answer(204)


def delete(request: Request) -> Answer:
    """The user is gone."""
    policy.may_write(request.caller, "delete_user")
    with request.write() as tx:
        user.delete(tx, request.caller, request.params["id"])
    return Answer(204)


def projects_of(request: Request) -> Answer:
    """The projects that the user has a role on."""
    id = request.params["id"]
    policy.may_read(request.caller, "list_user_projects", own=id == request.caller.user_id)
    with request.read() as tx:
        rows.get(tx, users, id)
        ids = assignment.reachable(tx, id)[0]
        found = rows.listed(tx, projects, name=request.asked("name"), enabled=asking.flag(request, "enabled"))
    return shown.collection(request, "projects", [shown.project(request, row) for row in found if row["id"] in ids])


def groups_of(request: Request) -> Answer:
    """The groups that the user is in."""
    id = request.params["id"]
    policy.may_read(request.caller, "list_groups_for_user", own=id == request.caller.user_id)
    with request.read() as tx:
        rows.get(tx, users, id)
        found = group.of_user(tx, id)
    return shown.collection(request, "groups", [shown.group(request, row) for row in found])


async def _digest(request: Request, asked: dict[str, Any]) -> str | None:
    """What is kept of the password that was asked for; None if there is none."""
    password = asked.get("password")
    if password is None:
        return None
    digest: str = await request.rooms.identity.turnstile.passed(lambda: passwords.digest(password))
    return digest
