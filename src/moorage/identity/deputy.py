"""
Moorage's own user, in whose name it asks other services of the cloud, and where those are.

Nobody can log in as this user: it has no password, and its tokens are made in this process, for one question each. It
is an administrator, since other services hide from everybody else what is not his; who disables it stops the questions.
"""

from dataclasses import dataclass, field

from sqlalchemy import select

from moorage.core.caller import MOORAGE, NOBODY
from moorage.core.errors import Forbidden
from moorage.database import Database, Transaction
from moorage.database.transaction import Row
from moorage.identity import assignment, lookup, rows, versions
from moorage.identity.assignment import Assignment
from moorage.identity.catalog import located
from moorage.identity.claims import Scope
from moorage.identity.records import endpoints, projects, roles, services, users
from moorage.identity.tokens import Tokens

ID = MOORAGE  #: known before the user is made: a name could be anybody's
PROJECT, ROLES = "service", ("admin", "service")
TOKEN_TTL_S = 300.0  #: a question takes seconds, but clocks differ
PREFERRED = ("internal", "public", "admin")  #: which of a service's endpoints is asked


@dataclass(frozen=True)
class Places:
    """Where the services of one type are, and a token to ask them with."""

    urls: tuple[str, ...] = ()
    token: str = field(default="", repr=False)


class Deputy:
    """Asks in the name of Moorage's own user. `public_url` is our address as configured, not as a client calls it."""

    def __init__(self, database: Database, tokens: Tokens, region: str, public_url: str) -> None:
        self._database, self._tokens, self._region, self._public_url = database, tokens, region, public_url

    def places(self, type: str) -> Places:
        """Where services of `type` are in our region; `Problem` where our user may not ask them."""
        with self._database.read() as tx:
            found = _endpoints(tx, type, self._region)
            if not found:
                return Places()
            project, text = self._issue(tx, type)
        blanks = {"project_id": project, "tenant_id": project, "user_id": ID}
        return Places(tuple(located(row, self._public_url, blanks) for row in found), text)

    def token(self, type: str) -> str:
        """A token of our user, for asking our own service of `type` in this process."""
        with self._database.read() as tx:
            return self._issue(tx, type)[1]

    def _issue(self, tx: Transaction, type: str) -> tuple[str, str]:
        """The project of services, and a token of our user for it."""
        project = _project(tx)
        scope = Scope("project", project["id"] if project is not None else "")
        issued = self._tokens.issue(tx, ID, (), scope, ttl_s=TOKEN_TTL_S)
        if not issued.standing.caller.is_admin:
            raise Forbidden(action=f"{type}:ask")
        return scope.id, issued.text


def make(tx: Transaction) -> None:
    """Our user is there, if the project of services is; nothing changes where it was, whatever became of it."""
    project = _project(tx)
    if project is None or not missing(tx):
        return
    taken = lookup.user(tx, {"name": "moorage", "domain": {"id": "default"}}) is not None
    rows.add(
        tx,
        users,
        id=ID,
        domain_id="default",
        name=f"moorage-{ID}" if taken else "moorage",
        description="Moorage itself, which asks other services; it cannot log in",
        enabled=True,
        default_project_id=project["id"],
        password=None,
        generation=0,
        options={},
        extra={},
        created_at=tx.now,
    )
    for name in ROLES:
        role = rows.named(tx, roles, name)
        if role is not None:
            assignment.grant(tx, NOBODY, Assignment("user", ID, Scope("project", project["id"]), role["id"]))
    versions.note(tx, NOBODY, "created", "user", ID)


def missing(tx: Transaction) -> bool:
    """Whether our user should be there and is not."""
    return rows.find(tx, users, ID) is None and _project(tx) is not None


def _project(tx: Transaction) -> Row | None:
    return rows.named(tx, projects, PROJECT, "default")


def _endpoints(tx: Transaction, type: str, region: str) -> list[Row]:
    """One enabled endpoint of each enabled service of `type` that has any in our region, or in none."""
    best: dict[str, Row] = {}
    query = select(endpoints).join(services).where(services.c.type == type, services.c.enabled.is_(True))
    for row in tx.all(query.where(endpoints.c.enabled.is_(True)).order_by(endpoints.c.service_id, endpoints.c.id)):
        held = best.get(row["service_id"])
        if row["region_id"] in (region, None) and (held is None or _rank(row, region) < _rank(held, region)):
            best[row["service_id"]] = row
    return list(best.values())


def _rank(row: Row, region: str) -> tuple[bool, int]:
    return row["region_id"] != region, PREFERRED.index(row["interface"])
