"""
What a token says: whose it is, for what, from when to when. Everything else is looked up when it is used.

Packed, it is small: ids of 32 hex digits take 16 bytes, and a sealed token stays below 255 characters.
"""

from base64 import urlsafe_b64encode
from dataclasses import dataclass, field

import msgspec

METHODS = ("password", "token", "application_credential")

_FORM = 1  #: which fields follow; a token of another form is not valid


@dataclass(frozen=True)
class Scope:
    """What a token is for: a project, a domain, the system, or (kind "") nothing yet."""

    kind: str = ""
    id: str = ""


UNSCOPED = Scope()
_KINDS = ("", "project", "domain", "system")


@dataclass(frozen=True)
class Claims:
    """The contents of a token. Times are microseconds since 1970."""

    user_id: str
    methods: tuple[str, ...]
    scope: Scope
    expires_at: int
    issued_at: int
    audit_ids: tuple[bytes, ...] = field(repr=False)  #: its own, and that of the first of those it was made from
    generation: int  #: the user's when it was made
    application_credential_id: str | None = None

    @property
    def audits(self) -> list[str]:
        """The audit ids as they are shown."""
        return [shown(audit) for audit in self.audit_ids]

    def pack(self) -> bytes:
        """The claims in few bytes."""
        methods = sum(1 << METHODS.index(method) for method in self.methods)
        return msgspec.msgpack.encode(
            [
                _FORM,
                _short(self.user_id),
                methods,
                _KINDS.index(self.scope.kind),
                _short(self.scope.id),
                self.expires_at,
                self.issued_at,
                list(self.audit_ids),
                self.generation,
                _short(self.application_credential_id or ""),
            ]
        )


def unpack(packed: bytes) -> Claims | None:
    """The claims that `pack` made `packed` of; None when it is of another form."""
    form, user, methods, kind, scope, expires, issued, audits, generation, credential = msgspec.msgpack.decode(packed)
    if form != _FORM:
        return None
    named = tuple(method for n, method in enumerate(METHODS) if methods & 1 << n)
    return Claims(
        _long(user),
        named,
        Scope(_KINDS[kind], _long(scope)),
        expires,
        issued,
        tuple(audits),
        generation,
        _long(credential) or None,
    )


def shown(audit: bytes) -> str:
    """An audit id as text."""
    return urlsafe_b64encode(audit).decode().rstrip("=")


def _short(id: str) -> str | bytes:
    return (
        bytes.fromhex(id)
        if len(id) == 32 and id.isalnum() and id == id.lower() and set(id) <= set("0123456789abcdef")
        else id
    )


def _long(id: str | bytes) -> str:
    return id.hex() if isinstance(id, bytes) else id
