"""Tokens on the wire: log in, ask what a token stands for, log out; and what a token's user may log in to."""

from collections.abc import AsyncIterator
from typing import Any

from moorage.api.identity import bodies, policy, shown
from moorage.api.request import Answer, Request
from moorage.api.views import moment
from moorage.core.caller import Rule
from moorage.core.errors import Forbidden, Unauthenticated
from moorage.database import Transaction
from moorage.database.transaction import Row
from moorage.identity import assignment, catalog, login, rows
from moorage.identity.errors import Missing
from moorage.identity.records import domains, projects
from moorage.identity.standing import Standing
from moorage.identity.tokens import Issued, Tokens


async def create(request: Request, chunks: AsyncIterator[bytes]) -> Answer:
    """The bearer of these credentials has a token for the scope that he asked for."""
    asked = (await bodies.read(request, chunks))["auth"]
    tokens: Tokens = request.rooms.identity

    def begin() -> login.Attempt:
        with request.read() as tx:
            return login.begin(tx, tokens, asked["identity"])

    def finish() -> Answer:
        with request.read() as tx:
            return _issued(request, tx, login.finish(tx, tokens, attempt, asked.get("scope")))

    attempt = await request.sql(begin)
    proven = await tokens.turnstile.passed(attempt.proven) if attempt.secrets else attempt.proven()
    if not proven:
        raise Unauthenticated()
    return await request.sql(finish)


def show(request: Request) -> Answer:
    """What the subject token stands for; nothing has changed."""
    with request.read() as tx:
        found = _subject(request, tx, policy.TOKEN_VALIDATE, allow_expired=request.asked_flag("allow_expired"))
        text = request.headers["x-subject-token"]
        return Answer(200, {"token": _token(request, tx, found)}, {"x-subject-token": text})


def delete(request: Request) -> Answer:
    """The subject token is not valid any more."""
    with request.write() as tx:
        found = _subject(request, tx, policy.TOKEN_REVOKE)
        request.rooms.identity.revoke(tx, request.caller, found)
    return Answer(204)


def projects_of(request: Request) -> Answer:
    """The projects that the caller may log in to."""
    with request.read() as tx:
        ids = assignment.reachable(tx, request.caller.user_id)[0]
        found = [row for row in rows.listed(tx, projects, enabled=True) if row["id"] in ids]
    return shown.collection(request, "projects", [shown.project(request, row) for row in found])


def domains_of(request: Request) -> Answer:
    """The domains that the caller may log in to."""
    with request.read() as tx:
        ids = assignment.reachable(tx, request.caller.user_id)[1]
        found = [row for row in rows.listed(tx, domains, enabled=True) if row["id"] in ids]
    return shown.collection(request, "domains", [shown.domain(request, row) for row in found])


def systems_of(request: Request) -> Answer:
    """The systems that the caller may log in to: this one, or none."""
    with request.read() as tx:
        may = assignment.reachable(tx, request.caller.user_id)[2]
    return Answer(200, {"system": [{"all": True}] if may else [], "links": {"self": shown.address(request)}})


def catalog_of(request: Request) -> Answer:
    """The catalog, as the caller's token shows it."""
    caller = request.caller
    if not (caller.project_id or caller.domain_id or caller.system):
        raise Forbidden(action="identity:get_auth_catalog")
    with request.read() as tx:
        found = catalog.catalog(tx, shown.public_url(request), caller.project_id, caller.user_id)
    return Answer(200, {"catalog": found, "links": {"next": None, "self": shown.address(request), "previous": None}})


def _subject(request: Request, tx: Transaction, rule: Rule, allow_expired: bool = False) -> Standing:
    """The token that is asked about. Whoever has it may ask; others need to be administrators or services."""
    text = request.headers.get("x-subject-token")
    if not text:
        raise Missing(kind="token", id="")
    if text != request.caller.token_id:
        policy.services_may(request.caller, rule)
    try:
        found: Standing = request.rooms.identity.validate(tx, text, allow_expired=allow_expired)
    except Unauthenticated:
        raise Missing(kind="token", id=f"{text[:8]}...") from None
    return found


def _issued(request: Request, tx: Transaction, issued: Issued) -> Answer:
    body = {"token": _token(request, tx, issued.standing)}
    return Answer(201, body, {"x-subject-token": issued.text})


def _token(request: Request, tx: Transaction, found: Standing) -> dict[str, Any]:
    """A token as it is shown."""
    claims, user = found.claims, found.user
    token: dict[str, Any] = {
        "methods": list(claims.methods),
        "user": {**_named(user), "domain": _named(found.user_domain), "password_expires_at": None},
        "audit_ids": claims.audits,
        "expires_at": moment(found.until, "Z"),
        "issued_at": moment(claims.issued_at, "Z"),
    }
    if found.project is not None and found.domain is not None:
        token |= {"project": {**_named(found.project), "domain": _named(found.domain)}, "is_domain": False}
    elif found.domain is not None:
        token["domain"] = _named(found.domain)
    elif claims.scope.kind == "system":
        token["system"] = {"all": True}
    if found.credential is not None:
        credential = found.credential
        token["application_credential"] = {**_named(credential), "restricted": not credential["unrestricted"]}
    if not claims.scope.kind:
        return token
    token["roles"] = [_named(role) for role in found.roles]
    if not any(key == "nocatalog" for key, _ in request.query):
        project_id = found.project["id"] if found.project else None
        token["catalog"] = catalog.catalog(tx, shown.public_url(request), project_id, user["id"])
    return token


def _named(row: Row) -> dict[str, Any]:
    return {"id": row["id"], "name": row["name"]}
