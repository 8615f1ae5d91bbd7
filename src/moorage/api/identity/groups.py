"""Groups on the wire, and who is in them."""

from moorage.api.identity import asking, policy, shown
from moorage.api.request import Answer, Request
from moorage.identity import group, rows
from moorage.identity.errors import Missing
from moorage.identity.records import groups

_KNOWN = frozenset({"name", "description", "domain_id"})


def create(request: Request) -> Answer:
    """The group is there."""
    policy.may_write(request.caller, "create_group")
    with request.write() as tx:
        row = group.create(tx, request.caller, asking.columns(request.body["group"], _KNOWN))
    return Answer(201, {"group": shown.group(request, row)})


def index(request: Request) -> Answer:
    """The groups that fit the filters."""
    policy.may_read(request.caller, "list_groups")
    with request.read() as tx:
        found = rows.listed(tx, groups, name=request.asked("name"), domain_id=request.asked("domain_id"))
    return shown.collection(request, "groups", [shown.group(request, row) for row in found])


def show(request: Request) -> Answer:
    """The group."""
    policy.may_read(request.caller, "get_group")
    with request.read() as tx:
        return Answer(200, {"group": shown.group(request, rows.get(tx, groups, request.params["id"]))})


def update(request: Request) -> Answer:
    """The group has the values that were asked for."""
    policy.may_write(request.caller, "update_group")
    with request.write() as tx:
        row = group.update(tx, request.caller, request.params["id"], asking.columns(request.body["group"], _KNOWN))
    return Answer(200, {"group": shown.changed(row, shown.group(request, row))})


def delete(request: Request) -> Answer:
    """The group is gone."""
    policy.may_write(request.caller, "delete_group")
    with request.write() as tx:
        group.delete(tx, request.caller, request.params["id"])
    return Answer(204)


def users(request: Request) -> Answer:
    """The users in the group."""
    policy.may_read(request.caller, "list_users_in_group")
    with request.read() as tx:
        rows.get(tx, groups, request.params["id"])
        found = group.users_of(tx, request.params["id"])
    wanted = request.asked("name")
    found = [row for row in found if wanted in (None, row["name"])]
    return shown.collection(request, "users", [shown.user(request, row) for row in found])


def add(request: Request) -> Answer:
    """The user is in the group."""
    policy.may_write(request.caller, "add_user_to_group")
    with request.write() as tx:
        group.add(tx, request.caller, request.params["id"], request.params["user_id"])
    return Answer(204)


def has(request: Request) -> Answer:
    """Whether the user is in the group."""
    id, user_id = request.params["id"], request.params["user_id"]
    policy.may_read(request.caller, "check_user_in_group", own=user_id == request.caller.user_id)
    with request.read() as tx:
        if not group.has(tx, id, user_id):
            raise Missing(kind="user in group", id=f"{user_id} in {id}")
    return Answer(204)


def take_out(request: Request) -> Answer:
    """The user is not in the group any more."""
    policy.may_write(request.caller, "remove_user_from_group")
    with request.write() as tx:
        group.take_out(tx, request.caller, request.params["id"], request.params["user_id"])
    return Answer(204)
