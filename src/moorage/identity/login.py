"""
Logging in: who somebody says he is, whether that is so, and the token that he gets for it.

Three parts, because checking a password takes long and must not hold a transaction: `begin` looks up what there is to
check, `proven` checks it, `finish` makes the token if nothing has changed meanwhile.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moorage.core.errors import Forbidden, Unauthenticated
from moorage.database import Transaction
from moorage.database.transaction import Row
from moorage.identity import lookup, passwords, project, rows
from moorage.identity.assignment import SYSTEM
from moorage.identity.claims import UNSCOPED, Claims, Scope
from moorage.identity.records import application_credentials, projects, users
from moorage.identity.tokens import Issued, Tokens

#: What is kept of a secret that we made begins with this: guessing 256 random bits fails without a slow digest.
_FAST = "sha256:"


@dataclass
class Attempt:
    """Who wants to log in, and what is to be checked before he may."""

    methods: tuple[str, ...] = ()
    users: list[Row | None] = field(default_factory=list)  #: whom each method names; None: nobody there is
    secrets: list[tuple[str | None, str]] = field(default_factory=list, repr=False)  #: what is kept, what was given
    parent: Claims | None = None
    credential: Row | None = None

    def proven(self) -> bool:
        """Whether every secret fits and all methods name the same enabled user. Slow, and needs no database."""
        fitting = [fits(kept, given) for kept, given in self.secrets]
        ids = {row["id"] if row is not None and row["enabled"] else None for row in self.users}
        return all(fitting) and len(ids) == 1 and None not in ids


def begin(tx: Transaction, tokens: Tokens, identity: Mapping[str, Any]) -> Attempt:
    """What there is to check of this `identity`: its methods and their contents. `proven` tells of unknown names."""
    attempt = Attempt()
    for method in dict.fromkeys(identity["methods"]):
        if method not in _METHODS or not isinstance(identity.get(method), Mapping):
            raise Unauthenticated()
        _METHODS[method](tx, tokens, identity[method], attempt)
        if method != "token":
            attempt.methods += (method,)
    return attempt


def finish(tx: Transaction, tokens: Tokens, attempt: Attempt, asked: Any) -> Issued:
    """The token for the scope that was asked for; `Unauthenticated` if the user changed since `begin`."""
    then = attempt.users[0]
    if then is None:
        raise Unauthenticated()
    now = rows.find(tx, users, then["id"])
    if now is None or now["generation"] != then["generation"]:
        raise Unauthenticated()
    bound = _bound(tx, attempt)
    scope = _bound_scope(tx, bound, asked) if bound is not None else _scope(tx, tokens, now, asked)
    methods = attempt.methods + (("token",) if attempt.parent else ())
    credential_id = bound["id"] if bound is not None else None
    return tokens.issue(tx, now["id"], methods, scope, parent=attempt.parent, credential_id=credential_id)


def fits(kept: str | None, given: str) -> bool:
    """Whether the secret `given` is the one that is kept."""
    if kept is not None and kept.startswith(_FAST):
        return hmac.compare_digest(kept, fast_digest(given))
    return passwords.fits(kept, given)


def fast_digest(secret: str) -> str:
    """What is kept of a secret of 256 random bits."""
    return _FAST + hashlib.sha256(secret.encode()).hexdigest()


def _password(tx: Transaction, tokens: Tokens, asked: Mapping[str, Any], attempt: Attempt) -> None:
    found = lookup.user(tx, asked["user"])
    attempt.users.append(found)
    attempt.secrets.append((found["password"] if found is not None else None, asked["user"]["password"]))


def _token(tx: Transaction, tokens: Tokens, asked: Mapping[str, Any], attempt: Attempt) -> None:
    found = tokens.validate(tx, asked["id"])
    attempt.parent = found.claims
    attempt.users.append(found.user)


def _application_credential(tx: Transaction, tokens: Tokens, asked: Mapping[str, Any], attempt: Attempt) -> None:
    if "id" in asked:
        found = rows.find(tx, application_credentials, asked["id"])
    else:
        owner = lookup.user(tx, asked.get("user") or {})
        mine = rows.listed(tx, application_credentials, user_id=owner["id"], name=asked.get("name")) if owner else []
        found = mine[0] if mine else None
    attempt.credential = found
    attempt.users.append(rows.find(tx, users, found["user_id"]) if found is not None else None)
    attempt.secrets.append((found["secret"] if found is not None else _FAST, asked["secret"]))


_METHODS = {"password": _password, "token": _token, "application_credential": _application_credential}


def _bound(tx: Transaction, attempt: Attempt) -> Row | None:
    """The application credential that the new token is bound to: the one given, or the one behind the token given."""
    if attempt.credential is not None:
        return attempt.credential
    id = attempt.parent.application_credential_id if attempt.parent else None
    return rows.find(tx, application_credentials, id) if id is not None else None


def _bound_scope(tx: Transaction, credential: Row, asked: Any) -> Scope:
    """An application credential is for its project, and for nothing else."""
    own = Scope("project", credential["project_id"])
    if asked is not None and _asked(tx, asked) != own:
        raise Forbidden(action="identity:rescope_application_credential_token")
    return own


def _scope(tx: Transaction, tokens: Tokens, now: Row, asked: Any) -> Scope:
    """The scope that was asked for; where none was, the user's default project if he may use it."""
    if asked is not None:
        return _asked(tx, asked)
    default = rows.find(tx, projects, now["default_project_id"] or "")
    if default is None:
        return UNSCOPED
    scope = Scope("project", default["id"])
    return scope if project.usable(tx, now["id"], default) else UNSCOPED


def _asked(tx: Transaction, asked: Any) -> Scope:
    if asked == "unscoped" or "unscoped" in asked:
        return UNSCOPED
    if "project" in asked:
        found = lookup.project(tx, asked["project"])
        kind = "project"
    elif "domain" in asked:
        found, kind = lookup.domain(tx, asked["domain"]), "domain"
    elif isinstance(asked.get("system"), Mapping) and asked["system"].get("all"):
        return SYSTEM
    else:
        raise Unauthenticated()
    if found is None:
        raise Unauthenticated()
    return Scope(kind, found["id"])
