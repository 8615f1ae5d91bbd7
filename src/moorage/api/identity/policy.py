"""
Who may do what in Identity.

Administrators may do everything; who has the role reader on the system may read everything; a plain user may read
what is his own. Whoever may not read something is told so before it is looked for, so that nobody learns what exists.
"""

from moorage.core.caller import Caller, Needs, Rule
from moorage.core.errors import Forbidden

TOKEN_VALIDATE = Rule("identity:validate_token", Needs.SERVICE)
TOKEN_REVOKE = Rule("identity:revoke_token", Needs.ADMIN)


def services_may(caller: Caller, rule: Rule) -> None:
    """Raise `Forbidden` unless the rule admits the caller."""
    caller.must(rule)


def may_write(caller: Caller, action: str, own: bool = False) -> None:
    """Raise `Forbidden` unless the caller is an administrator, or it is his own."""
    if not (caller.is_admin or own):
        raise Forbidden(action=f"identity:{action}")


def may_read(caller: Caller, action: str, own: bool = False) -> None:
    """Raise `Forbidden` unless the caller may read everything, or it is his own."""
    if not (reads_all(caller) or own):
        raise Forbidden(action=f"identity:{action}")


def reads_all(caller: Caller) -> bool:
    """Whether the caller may read everything."""
    return caller.is_admin or (caller.system and "reader" in caller.roles)
