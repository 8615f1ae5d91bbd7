"""Tasks: what imports are under way. There are no imports yet, and so no tasks."""

from moorage.api.image.images import bodiless
from moorage.api.request import Answer, Request
from moorage.core.errors import NotFound
from moorage.images import rules
from moorage.images.visibility import find


@bodiless
def of_image(ask: Request) -> Answer:
    """List the tasks of an image: none."""
    with ask.read() as tx:
        rules.permit(ask.caller, rules.GET)
        find(tx, ask.caller, ask.params["id"])
    return Answer(body={"tasks": []})


@bodiless
def index(ask: Request) -> Answer:
    """List all tasks, for administrators: none."""
    rules.permit(ask.caller, rules.TASKS)
    return Answer(body={"tasks": [], "first": "/v2/tasks", "schema": "/v2/schemas/tasks"})


@bodiless
def show(ask: Request) -> Answer:
    """Show one task: there is none."""
    rules.permit(ask.caller, rules.TASKS)
    raise NotFound()
