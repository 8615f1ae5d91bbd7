"""Application credentials on the wire. A user sees and makes his own; an administrator may see and delete anybody's."""

from collections.abc import AsyncIterator

from moorage.api.identity import asking, bodies, policy, shown
from moorage.api.request import Answer, Request
from moorage.core.errors import Forbidden
from moorage.database import Transaction
from moorage.identity import application_credential, rows
from moorage.identity.errors import Unfit
from moorage.identity.records import users
from moorage.identity.standing import Standing


async def create(request: Request, chunks: AsyncIterator[bytes]) -> Answer:
    """The caller has this application credential; its secret is shown this once."""
    if request.params["user_id"] != request.caller.user_id:
        raise Forbidden(action="identity:create_application_credential")
    asked = (await bodies.read(request, chunks))["application_credential"]
    if asked.get("access_rules"):
        raise Unfit(reason="Access rules are not supported: they would not be enforced.")
    asked["expires_at"] = asking.moment(asked.get("expires_at"))
    chosen = asked.get("secret")
    secret = await request.rooms.identity.turnstile.passed(lambda: application_credential.secret(chosen))

    def made() -> shown.Shown:
        with request.write() as tx:
            row = application_credential.create(tx, _standing(request, tx), request.caller, asked, secret)
            roles = application_credential.roles_of(tx, row)
            return shown.application_credential(request, row, roles, secret.shown)

    return Answer(201, {"application_credential": await request.sql(made)})


def index(request: Request) -> Answer:
    """The user's application credentials that fit the filters."""
    user_id = request.params["user_id"]
    policy.may_read(request.caller, "list_application_credentials", own=user_id == request.caller.user_id)
    with request.read() as tx:
        rows.get(tx, users, user_id)
        found = application_credential.of_user(tx, user_id, request.asked("name"))
        items = [shown.application_credential(request, row, application_credential.roles_of(tx, row)) for row in found]
    return shown.collection(request, "application_credentials", items)


def show(request: Request) -> Answer:
    """The application credential."""
    user_id = request.params["user_id"]
    policy.may_read(request.caller, "get_application_credential", own=user_id == request.caller.user_id)
    with request.read() as tx:
        row = application_credential.get(tx, user_id, request.params["id"])
        body = shown.application_credential(request, row, application_credential.roles_of(tx, row))
    return Answer(200, {"application_credential": body})


def delete(request: Request) -> Answer:
    """The application credential is gone, and its tokens are over."""
    user_id = request.params["user_id"]
    policy.may_write(request.caller, "delete_application_credential", own=user_id == request.caller.user_id)
    with request.write() as tx:
        found = _standing(request, tx) if request.caller.token_id else None
        application_credential.delete(tx, found, request.caller, user_id, request.params["id"])
    return Answer(204)


def _standing(request: Request, tx: Transaction) -> Standing:
    """What the caller's token stands for."""
    found: Standing = request.rooms.identity.validate(tx, request.caller.token_id, allow_expired=True)
    return found
