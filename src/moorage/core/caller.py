"""
Who asks, and what he may.

A rule says which role a call needs and whether the role must be held in the project that owns the resource.  Rule names
are OpenStack's, so that operators recognise what a refusal cites.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from moorage.core.errors import Forbidden


class Needs(StrEnum):
    """What a rule asks of a caller. An administrator passes all of them."""

    ADMIN = "admin"  #: role admin
    MANAGER = "manager"  #: role manager in the owning project
    MEMBER = "member"  #: role member in the owning project
    READER = "reader"  #: role reader in the owning project
    SERVICE = "service"  #: a service token, or role service
    ANYONE = "anyone"  #: any valid token


@dataclass(frozen=True)
class Rule:
    """What one action needs, under the name that a refusal cites."""

    name: str
    needs: Needs


@dataclass(frozen=True)
class Caller:
    """Who asks: a user with his roles in one scope, and perhaps a service that forwards his request."""

    user_id: str
    project_id: str | None = None
    domain_id: str | None = None
    system: bool = False
    roles: frozenset[str] = frozenset()
    service_roles: frozenset[str] = frozenset()  #: roles of the valid service token that came along
    user_name: str = ""
    project_name: str = ""
    request_id: str = ""
    token_id: str = field(default="", repr=False)

    @property
    def is_admin(self) -> bool:
        return "admin" in self.roles

    @property
    def is_service(self) -> bool:
        """Whether a service forwards the request, or asks for itself."""
        return "service" in self.service_roles or "service" in self.roles

    def may(self, rule: Rule, project_id: str | None = None) -> bool:
        """Whether `rule` lets this caller act on a resource of `project_id` (None: of his own project)."""
        if self.is_admin or rule.needs is Needs.ANYONE:
            return True
        if rule.needs is Needs.ADMIN:
            return False
        if rule.needs is Needs.SERVICE:
            return self.is_service
        own = self.project_id is not None and (project_id is None or project_id == self.project_id)
        return own and rule.needs.value in self.roles

    def must(self, rule: Rule, project_id: str | None = None) -> None:
        """Raise `Forbidden` unless `may`."""
        if not self.may(rule, project_id):
            raise Forbidden(action=rule.name)

    def sees(self, project_id: str | None) -> bool:
        """Whether a resource of `project_id` may be named to this caller."""
        return self.is_admin or (project_id is not None and project_id == self.project_id)


#: The id of Moorage's own user, in whose name one of its services uses another.
MOORAGE = b"moorage".hex().ljust(32, "0")

#: Whoever acts when nobody asked: recovery, periodic work, the machine's own command line.
NOBODY = Caller(user_id="moorage", roles=frozenset({"admin", "manager", "member", "reader", "service"}))
