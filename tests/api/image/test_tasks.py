"""Tasks over the wire: as the image shows them, as administrators list them, and how long."""

from typing import Any

import pytest

from moorage.core.caller import NOBODY
from moorage.database import Database
from moorage.flows.why import why
from moorage.images.imports import task
from moorage.images.imports.task import KEPT_S
from moorage.images.records import tasks as rows
from moorage.operations import events
from moorage.operations.journal import SECOND
from tests.api.image.test_import import WEB, Web, cloud, ended, gate, staged, start, tasks
from tests.images.cloud import ImageCloud

__all__ = ["cloud"]

INPUT = {
    "import_from": "http://somewhere/image",
    "import_from_format": "raw",
    "image_properties": {"name": "made", "colour": "blue", "visibility": "private"},
}


def listed(cloud: ImageCloud, query: str = "", status: int = 200) -> Any:
    reply = cloud.call("GET", f"/image/v2/tasks{query}", as_="root")
    assert reply.status == status, reply.body
    return reply.json if status == 200 else None


def imported(cloud: ImageCloud, *, fails: bool = False) -> str:
    """The task of an import that is over."""
    method = cloud.rooms.methods["web-download"]
    assert isinstance(method, Web)
    method.problem = ValueError("secret") if fails else None
    id = cloud.image()
    assert start(cloud, id, WEB).status == 202
    return str(ended(cloud, id)["id"])


def test_tasks_are_listed_by_pages(cloud: ImageCloud) -> None:
    made = [imported(cloud, fails=number == 1) for number in range(4)]
    first = listed(cloud, "?limit=3")
    assert [one["id"] for one in first["tasks"]] == made[:0:-1]
    second = listed(cloud, first["next"].removeprefix("/v2/tasks"))
    assert ([one["id"] for one in second["tasks"]], "next" in second) == (made[:1], False)
    assert [one["id"] for one in listed(cloud, "?sort_key=created_at&sort_dir=asc")["tasks"]] == made
    assert [one["id"] for one in listed(cloud, "?status=failure")["tasks"]] == [made[1]]
    assert [one["id"] for one in listed(cloud, "?type=location_import")["tasks"]] == []
    assert "input" not in first["tasks"][0]
    assert (first["schema"], first["first"]) == ("/v2/schemas/tasks", "/v2/tasks?limit=3")
    for query in ("limit=-1", "limit=x", "marker=nonesuch", "sort_key=name", "sort_dir=up", "type=x", "status=x"):
        listed(cloud, f"?{query}", 400)


def test_one_task(cloud: ImageCloud) -> None:
    id = imported(cloud)
    it = cloud.call("GET", f"/image/v2/tasks/{id}", as_="root").json
    assert (it["id"], it["type"], it["status"], it["self"]) == (id, "api_image_import", "success", f"/v2/tasks/{id}")
    assert it["input"]["import_req"] == {"method": WEB}
    assert cloud.call("GET", f"/image/v2/tasks/{id}").status == 403
    assert cloud.call("GET", "/image/v2/tasks/nonesuch", as_="root").status == 404
    assert cloud.call("DELETE", f"/image/v2/tasks/{id}", as_="root").status == 405


def test_what_nobody_foresaw_says_nothing_about_itself(cloud: ImageCloud) -> None:
    """Image reference I9: the reason is there to be read; what may hold secrets is not."""
    id = imported(cloud, fails=True)
    it = cloud.call("GET", f"/image/v2/tasks/{id}", as_="root").json
    assert (it["status"], it["message"]) == ("failure", "An unexpected problem occurred.")


def test_a_task_that_makes_an_image(cloud: ImageCloud) -> None:
    reply = cloud.call("POST", "/image/v2/tasks", {"type": "import", "input": INPUT}, as_="root")
    assert reply.status == 201, reply.body
    made = reply.json
    assert reply.headers["location"].endswith(f"/image/v2/tasks/{made['id']}")
    assert (made["type"], made["status"]) == ("import", "pending")
    assert ended(cloud, made["image_id"])["result"] == {"image_id": made["image_id"]}
    it = cloud.show(made["image_id"])
    assert (it["status"], it["name"], it["colour"], it["visibility"]) == ("active", "made", "blue", "private")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": "nonesuch", "input": INPUT},
        {"type": "api_image_import", "input": INPUT},
        {"type": "location_import", "input": INPUT},
        {"type": "import", "input": {}},
        {"type": "import", "input": {**INPUT, "image_properties": {"disk_format": "nonesuch"}}},
        {"type": "import", "input": {**INPUT, "import_from": "http://forbidden/"}},
    ],
)
def test_tasks_that_make_no_sense(cloud: ImageCloud, body: Any) -> None:
    assert cloud.call("POST", "/image/v2/tasks", body, as_="root").status == 400
    assert listed(cloud)["tasks"] == []
    assert cloud.call("GET", "/image/v2/images", as_="root").json["images"] == []


def test_only_administrators_make_tasks(cloud: ImageCloud) -> None:
    assert cloud.call("POST", "/image/v2/tasks", {"type": "import", "input": INPUT}).status == 403


def test_a_task_is_shown_for_two_days(cloud: ImageCloud, database: Database) -> None:
    old, new = imported(cloud), imported(cloud)
    image = cloud.call("GET", f"/image/v2/tasks/{old}", as_="root").json["image_id"]
    with database.write() as tx:
        it = task.get(tx, old)
        assert it is not None and it["expires_at"] - it["updated_at"] == KEPT_S * SECOND
        tx.change(rows, old, {"expires_at": tx.now - 1})
    assert [one["id"] for one in listed(cloud)["tasks"]] == [new]
    assert tasks(cloud, image) == []
    assert cloud.call("GET", f"/image/v2/tasks/{old}", as_="root").status == 404
    assert database.transact(lambda tx: task.forget(tx, tx.now)) == 0  # its image shows how it ended
    assert cloud.show(image)["os_glance_failed_import"] == ""
    cloud.call("DELETE", f"/image/v2/images/{image}")
    assert database.transact(lambda tx: task.forget(tx, tx.now)) == 1


def test_what_is_told_of_an_import(cloud: ImageCloud, database: Database) -> None:
    id = staged(cloud)
    gate(cloud).hold()
    start(cloud, id, stores=["a", "b"])
    assert gate(cloud).reached.wait(60)
    with database.read() as tx:
        found = why(tx, NOBODY, "image", id)
    assert (found.state, found.operation and found.operation.step) == ("importing", "store")
    assert "Copied 0 MiB" in found.sentence
    assert [(part.id, part.sentence) for part in found.waiting] == [
        (store, "It is still to get the bytes.") for store in ("a", "b")
    ]
    gate(cloud).full = True
    gate(cloud).go_on.set()
    ended(cloud, id)
    with database.read() as tx:
        found = why(tx, NOBODY, "image", id)
        told = [event["what"] for event in events.since(tx, 0) if event["resource_id"] == id]
    assert "Its last import failed: The store b has no room for the image." in found.sentence
    assert {part.id: part.sentence for part in found.blockers} == {
        "a": "It got nothing, since another store failed.",
        "b": "It did not get the bytes. The store b has no room for the image.",
    }
    assert told == ["image.created", "image.uploading", "image.staged", "image.importing", "image.import-failed"]
