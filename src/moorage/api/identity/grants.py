"""Grants on the wire: a user's or a group's roles on a project, on a domain, on the system."""

from moorage.api.identity import policy, shown
from moorage.api.request import Answer, Request
from moorage.identity import assignment
from moorage.identity.assignment import SYSTEM, Assignment
from moorage.identity.claims import Scope
from moorage.identity.errors import Missing


def index(request: Request) -> Answer:
    """The roles that were given directly to the one on the other."""
    policy.may_read(request.caller, "list_grants")
    kind, actor_id, target, inherited = _parts(request)
    with request.read() as tx:
        assignment.must_make_sense(tx, kind, actor_id, target)
        found = assignment.of_actor(tx, kind, actor_id, target, inherited)
    return shown.collection(request, "roles", [shown.role(request, row) for row in found])


def has(request: Request) -> Answer:
    """Whether the role was given directly to the one on the other."""
    policy.may_read(request.caller, "check_grant")
    wanted = _wanted(request)
    with request.read() as tx:
        if not assignment.exists(tx, wanted):
            raise Missing(kind="role assignment with role", id=wanted.role_id)
    return Answer(204)


def grant(request: Request) -> Answer:
    """The one has the role on the other."""
    policy.may_write(request.caller, "create_grant")
    with request.write() as tx:
        assignment.grant(tx, request.caller, _wanted(request))
    return Answer(204)


def revoke(request: Request) -> Answer:
    """The one does not have the role on the other any more."""
    policy.may_write(request.caller, "revoke_grant")
    with request.write() as tx:
        assignment.revoke(tx, request.caller, _wanted(request))
    return Answer(204)


def _wanted(request: Request) -> Assignment:
    kind, actor_id, target, inherited = _parts(request)
    return Assignment(kind, actor_id, target, request.params["role_id"], inherited)


def _parts(request: Request) -> tuple[str, str, Scope, bool]:
    """Who, on what, and whether it is inherited below: the route says the kinds, its parameters the ids."""
    route, params = request.route.path, request.params
    kind = "user" if "/users/" in route else "group"
    if "/system/" in route:
        target = SYSTEM
    else:
        target = Scope("project" if "/projects/" in route else "domain", params["target_id"])
    return kind, params["actor_id"], target, route.startswith("/v3/OS-INHERIT/")
