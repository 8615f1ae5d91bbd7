"""Projects on the wire, and their tags."""

from collections.abc import Collection

from moorage.api.identity import asking, policy, schemas, shown
from moorage.api.request import Answer, Request
from moorage.database import Transaction
from moorage.database.transaction import Row
from moorage.identity import project, rows, tree
from moorage.identity.errors import Missing
from moorage.identity.records import projects

_KNOWN = frozenset({"name", "description", "enabled", "domain_id", "parent_id", "is_domain", "tags", "options"})


def create(request: Request) -> Answer:
    """The project is there."""
    policy.may_write(request.caller, "create_project")
    with request.write() as tx:
        row = project.create(tx, request.caller, asking.columns(request.body["project"], _KNOWN))
    return Answer(201, {"project": shown.project(request, row)})


def index(request: Request) -> Answer:
    """The projects that fit the filters."""
    policy.may_read(request.caller, "list_projects")
    if asking.flag(request, "is_domain"):
        return shown.collection(request, "projects", [])
    with request.read() as tx:
        found = rows.listed(
            tx,
            projects,
            name=request.asked("name"),
            domain_id=request.asked("domain_id"),
            enabled=asking.flag(request, "enabled"),
        )
    found = [row for row in found if _tagged(request, row) and _under(request, row)]
    return shown.collection(request, "projects", [shown.project(request, row) for row in found])


def show(request: Request) -> Answer:
    """The project, and on request the ids of those above and below it."""
    id = request.params["id"]
    policy.may_read(request.caller, "get_project", own=id == request.caller.project_id)
    with request.read() as tx:
        body = shown.project(request, rows.get(tx, projects, id))
        for side, name in (("parents_as_ids", "parents"), ("subtree_as_ids", "subtree")):
            if asking.flag(request, side):
                body[name] = _nested(tx, id, name)
    return Answer(200, {"project": body})


def update(request: Request) -> Answer:
    """The project has the values that were asked for."""
    policy.may_write(request.caller, "update_project")
    with request.write() as tx:
        asked = asking.columns(request.body["project"], _KNOWN)
        row = project.update(tx, request.caller, request.params["id"], asked)
    return Answer(200, {"project": shown.changed(row, shown.project(request, row))})


def delete(request: Request) -> Answer:
    """The project is gone."""
    policy.may_write(request.caller, "delete_project")
    with request.write() as tx:
        project.delete(tx, request.caller, request.params["id"])
    return Answer(204)


def tags(request: Request) -> Answer:
    """The project's tags."""
    id = request.params["id"]
    policy.may_read(request.caller, "list_project_tags", own=id == request.caller.project_id)
    with request.read() as tx:
        row = rows.get(tx, projects, id)
    return Answer(200, {"tags": row["tags"], "links": {"self": shown.address(request)}})


def set_tags(request: Request) -> Answer:
    """The project has these tags and no others."""
    row = _retag(request, request.body["tags"], None)
    return Answer(200, {"tags": row["tags"], "links": {"self": shown.address(request)}})


def clear_tags(request: Request) -> Answer:
    """The project has no tags."""
    _retag(request, (), None)
    return Answer(204)


def has_tag(request: Request) -> Answer:
    """Whether the project has the tag."""
    id, tag = request.params["id"], request.params["tag"]
    policy.may_read(request.caller, "get_project_tag", own=id == request.caller.project_id)
    with request.read() as tx:
        if tag not in rows.get(tx, projects, id)["tags"]:
            raise Missing(kind="project tag", id=tag[:64])
    return Answer(204)


def add_tag(request: Request) -> Answer:
    """The project has this tag as well."""
    schemas.TAGS.check({"tags": [request.params["tag"]]})
    _retag(request, [request.params["tag"]], ())
    return Answer(201)


def drop_tag(request: Request) -> Answer:
    """The project does not have this tag any more."""
    _retag(request, (), [request.params["tag"]])
    return Answer(204)


def _retag(request: Request, more: Collection[str], less: Collection[str] | None) -> Row:
    """The project after its tags were changed."""
    policy.may_write(request.caller, "update_project_tags")
    with request.write() as tx:
        row = project.retag(tx, request.caller, request.params["id"], more, less)
        schemas.TAGS.check({"tags": row["tags"]})
    return row


def _tagged(request: Request, row: Row) -> bool:
    """Whether the project's tags are what the filters ask for."""
    tags = set(row["tags"])

    def of(name: str) -> set[str] | None:
        value = request.asked(name)
        return set(value.split(",")) if value else None

    every, some, not_every, none = of("tags"), of("tags-any"), of("not-tags"), of("not-tags-any")
    return (
        (every is None or every <= tags)
        and (some is None or bool(some & tags))
        and (not_every is None or not not_every <= tags)
        and (none is None or not none & tags)
    )


def _under(request: Request, row: Row) -> bool:
    parent = request.asked("parent_id")
    return parent is None or parent == (row["parent_id"] or row["domain_id"])


def _nested(tx: Transaction, id: str, side: str) -> shown.Shown | None:
    """The ids of the projects above or below, one inside the other."""
    if side == "parents":
        found: shown.Shown | None = None
        row = rows.get(tx, projects, id)
        for above in reversed([p["id"] for p in tree.above(tx, id)]):
            found = {above: found}
        return _innermost(found, row["domain_id"])
    below = {p["id"]: _nested(tx, p["id"], side) for p in rows.listed(tx, projects, parent_id=id)}
    return below or None


def _innermost(found: shown.Shown | None, domain_id: str) -> shown.Shown:
    """The domain is above the topmost project."""
    if found is None:
        return {domain_id: None}
    ((id, rest),) = found.items()
    return {id: _innermost(rest, domain_id)}
