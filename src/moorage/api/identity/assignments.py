"""All role assignments on the wire: as they were made, or as they work."""

from typing import Any

from moorage.api.identity import asking, policy, shown
from moorage.api.request import Answer, Request
from moorage.core.errors import Malformed
from moorage.database import Transaction
from moorage.database.transaction import Row
from moorage.identity import effects, rows, tree
from moorage.identity.claims import Scope
from moorage.identity.effects import Effect, Wanted
from moorage.identity.records import domains, groups, projects, roles, users

_TABLES = {"user": users, "group": groups, "project": projects, "domain": domains}
_SCOPES = ("project", "domain", "system")


def index(request: Request) -> Answer:
    """The assignments that fit the filters."""
    mine = request.asked("user.id") == request.caller.user_id
    policy.may_read(request.caller, "list_role_assignments", own=mine)
    with request.read() as tx:
        wanted = _wanted(request, tx)
        working = asking.flag(request, "effective")
        if working and wanted.group_id is not None:
            raise Malformed(reason="Combining effective and group filter will always result in an empty list.")
        found = effects.working(tx, wanted) if working else effects.made(tx, wanted)
        names = _Names(tx) if asking.flag(request, "include_names") else None
        items = [_shown(request, effect, names) for effect in found[: rows.MOST + 1]]
    return shown.collection(request, "role_assignments", items)


def _wanted(request: Request, tx: Transaction) -> Wanted:
    scopes = [Scope(kind, id) for kind in _SCOPES if (id := request.asked(f"scope.{kind}{'.id' * (kind != 'system')}"))]
    if len(scopes) > 1:
        raise Malformed(reason="Specify only one of the filters scope.project.id, scope.domain.id and scope.system.")
    scope = next(iter(scopes), None)
    under = None
    if asking.flag(request, "include_subtree"):
        if scope is None or scope.kind != "project":
            raise Malformed(reason="scope.project.id must be specified if include_subtree is also specified")
        under, scope = frozenset({scope.id} | tree.below(tx, scope)), None
    inherited = request.asked("scope.OS-INHERIT:inherited_to")
    if inherited not in (None, "projects"):
        raise Malformed(reason="scope.OS-INHERIT:inherited_to can only be projects.")
    return Wanted(
        user_id=request.asked("user.id"),
        group_id=request.asked("group.id"),
        role_id=request.asked("role.id"),
        scope=Scope("system", "all") if scope is not None and scope.kind == "system" else scope,
        inherited=True if inherited else None,
        project_ids=under,
    )


class _Names:
    """The names of what assignments name, each looked up once."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._seen: dict[tuple[str, str], dict[str, Any]] = {}

    def of(self, kind: str, id: str) -> dict[str, Any]:
        """Id, name and domain."""
        if (kind, id) not in self._seen:
            row = rows.find(self._tx, roles if kind == "role" else _TABLES[kind], id)
            self._seen[kind, id] = {"id": id} if row is None else self._named(kind, row)
        return self._seen[kind, id]

    def _named(self, kind: str, row: Row) -> dict[str, Any]:
        named = {"id": row["id"], "name": row["name"]}
        if kind in ("user", "group", "project"):
            named["domain"] = self.of("domain", row["domain_id"])
        return named


def _shown(request: Request, effect: Effect, names: _Names | None) -> dict[str, Any]:
    def named(kind: str, id: str) -> dict[str, Any]:
        return names.of(kind, id) if names is not None else {"id": id}

    scope: dict[str, Any] = {"system": {"all": True}}
    if effect.scope.kind != "system":
        scope = {effect.scope.kind: named(effect.scope.kind, effect.scope.id)}
    if effect.inherited or effect.given_on is not None:
        scope["OS-INHERIT:inherited_to"] = "projects"
    return {
        "links": _links(request, effect),
        "scope": scope,
        effect.actor_kind: named(effect.actor_kind, effect.actor_id),
        "role": named("role", effect.role_id),
    }


def _links(request: Request, effect: Effect) -> dict[str, str]:
    """Where the assignment was made, and what else it works by."""
    given = effect.given_on or effect.scope
    inherited = effect.inherited or effect.given_on is not None
    kind, actor = (
        ("groups", effect.through_group) if effect.through_group else (effect.actor_kind + "s", effect.actor_id)
    )
    target = "system" if given.kind == "system" else f"{given.kind}s/{given.id}"
    prefix, suffix = ("OS-INHERIT/", "/inherited_to_projects") if inherited else ("", "")
    role = effect.prior_role or effect.role_id
    links = {"assignment": f"{request.url}/v3/{prefix}{target}/{kind}/{actor}/roles/{role}{suffix}"}
    if effect.through_group:
        links["membership"] = f"{request.url}/v3/groups/{effect.through_group}/users/{effect.actor_id}"
    if effect.prior_role:
        links["prior_role"] = f"{request.url}/v3/prior_role/{effect.prior_role}/implies/{effect.role_id}"
    return links
