"""
Tokens: made, checked and revoked. Nothing of a token is stored; only revocations are.

What a token stands for is remembered per process for as long as the number of `versions` stays: a request then costs
one tiny read.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import delete, insert, select

from moorage.core.caller import Caller
from moorage.core.errors import Unauthenticated
from moorage.database import Database, Transaction
from moorage.identity import versions
from moorage.identity.claims import METHODS, Claims, Scope, shown, unpack
from moorage.identity.keys import Keys
from moorage.identity.passwords import Turnstile
from moorage.identity.records import revocations, users
from moorage.identity.settings import IdentitySettings
from moorage.identity.standing import Standing, standing

_SECOND = 1_000_000


@dataclass(frozen=True)
class Issued:
    """A fresh token, and what it stands for."""

    text: str
    standing: Standing


class Tokens:
    """Makes and checks tokens, for one process."""

    def __init__(self, database: Database, keys_dir: Path, settings: IdentitySettings) -> None:
        self.settings = settings
        self.keys = Keys(keys_dir, settings.token_ttl_s + settings.expired_window_s)
        self.turnstile = Turnstile(settings.logins_waiting)
        self._database = database
        self._remembered: tuple[int, object, dict[str, Standing]] = (-1, None, {})

    def caller(self, headers: Mapping[str, str], request_id: str) -> Caller:
        """
        Who asks, by `X-Auth-Token` and perhaps `X-Service-Token`; `Unauthenticated` unless what came along is valid.
        A service may carry on what a user began while his token was valid.
        """
        text, forwarder = headers.get("x-auth-token"), headers.get("x-service-token")
        if not text:
            raise Unauthenticated()
        with self._database.read() as tx:
            service = self.validate(tx, forwarder) if forwarder else None
            found = self.validate(tx, text, allow_expired=service is not None and service.is_service)
        roles = service.caller.roles if service else frozenset()
        return replace(found.caller, request_id=request_id, service_roles=roles)

    def issue(
        self,
        tx: Transaction,
        user_id: str,
        methods: tuple[str, ...],
        scope: Scope,
        *,
        parent: Claims | None = None,
        credential_id: str | None = None,
        ttl_s: float | None = None,
    ) -> Issued:
        """A token for the user in this scope, or `Unauthenticated`. One made from another ends when that does."""
        ttl_s = min(self.settings.token_ttl_s, self.settings.token_ttl_s if ttl_s is None else ttl_s)
        generation = tx.value(select(users.c.generation).where(users.c.id == user_id))
        if generation is None:
            raise Unauthenticated()
        named = set(methods) | set(parent.methods if parent else ())
        claims = Claims(
            user_id=user_id,
            methods=tuple(m for m in METHODS if m in named),
            scope=scope,
            expires_at=parent.expires_at if parent else tx.now + int(ttl_s * _SECOND),
            issued_at=tx.now,
            audit_ids=(secrets.token_bytes(16), *((parent.audit_ids[-1],) if parent else ())),
            generation=generation,
            application_credential_id=credential_id or (parent.application_credential_id if parent else None),
        )
        text = self.keys.seal(claims.pack())
        found = standing(tx, claims, text)
        if found.until <= tx.now:
            raise Unauthenticated()
        return Issued(text, found)

    def validate(self, tx: Transaction, text: str, *, allow_expired: bool = False) -> Standing:
        """What the token stands for; `Unauthenticated` unless it is valid, or (`allow_expired`) was until recently."""
        known = self._known(tx)
        found = known.get(text)
        if found is None:
            packed = self.keys.unseal(text)
            claims = unpack(packed) if packed is not None else None
            if claims is None:
                raise Unauthenticated()
            found = standing(tx, claims, text)
            if len(known) >= self.settings.cached_tokens:
                known.clear()
            known[text] = found
        grace = int(self.settings.expired_window_s * _SECOND) if allow_expired else 0
        if found.until + grace <= tx.now:
            raise Unauthenticated()
        return found

    def _known(self, tx: Transaction) -> dict[str, Standing]:
        """
        What is remembered and still holds: nothing in Identity has changed since, nor have the keys. A transaction that
        writes sees what may never be committed, so that it looks for itself and has nothing remembered.
        """
        version, stamp = versions.current(tx), self.keys.stamp()
        at, then, known = self._remembered
        if tx.writes or version < at:
            return {}
        if (version, stamp) != (at, then):
            known = {}
            self._remembered = (version, stamp, known)
        return known

    def revoke(self, tx: Transaction, by: Caller, found: Standing) -> None:
        """This one token is not valid any more, anywhere."""
        versions.change(tx)
        forgotten = int(self.settings.expired_window_s * _SECOND)
        tx.run(delete(revocations).where(revocations.c.expires_at < tx.now - forgotten))
        audit = shown(found.claims.audit_ids[0])
        if tx.one(select(revocations.c.audit_id).where(revocations.c.audit_id == audit)) is None:
            tx.run(insert(revocations).values(audit_id=audit, expires_at=found.claims.expires_at))
            versions.note(tx, by, "revoked", "token", audit, by.project_id)
