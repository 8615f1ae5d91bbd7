"""
Each state that an operation owns is reached here, has its owner in `why`, and leaves by itself after a crash.

The tables of states are walked whole: a state that is neither reached by a case nor said to belong to somebody else is
a failure, and so is a kind of operation that gives a volume a status and has no case.
"""

import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from moorage.core.caller import NOBODY
from moorage.database import Database
from moorage.database.migrate import upgrade
from moorage.flows.registry import FLOWS
from moorage.flows.why import Why, why
from moorage.images.image import State as Image
from moorage.operations import journal
from moorage.operations.records import OVER
from moorage.volumes.attachments import queue
from moorage.volumes.attachments.attachment import State as Attachment
from moorage.volumes.status import DURING
from tests import schema
from tests.flows import copy_scenes, image_world, test_volume_crashes
from tests.operations import crash
from tests.operations.crash import Point, Scene

#: What a resource is while an operation of this kind is open on it: (kind of resource, state).
OWNED = {
    **{kind: ("volume", status) for kind, status in DURING.items()},
    "publish-attachment": ("attachment", str(Attachment.ATTACHING)),
    "withdraw-attachment": ("attachment", str(Attachment.DETACHING)),
    "queue-attachment": ("attachment", "queued"),
    "upload-image": ("image", str(Image.SAVING)),
    "import-image": ("image", str(Image.IMPORTING)),
}
SCENES = {**test_volume_crashes.SCENES, **copy_scenes.SCENES}
IMAGES = {"upload-image", "import-image"}  #: whose cases are below

#: Whose the other states are. They stay for as long as he wants.
HOLDERS = {
    ("attachment", str(Attachment.RESERVED)): "its holder's, who has not said where he is",
    ("attachment", str(Attachment.ATTACHED)): "its holder's",
    ("attachment", str(Attachment.DETACHED)): "over",
    ("attachment", str(Attachment.ERROR_ATTACHING)): "its holder's: an update revives it",
    ("attachment", str(Attachment.ERROR_DETACHING)): "nothing leads there any more",
    ("image", str(Image.QUEUED)): "its owner's, who has not uploaded anything",
    ("image", str(Image.UPLOADING)): "its owner's, who has staged its bytes and has not imported them",
    ("image", str(Image.ACTIVE)): "its owner's",
    ("image", str(Image.DEACTIVATED)): "the administrators'",
    ("image", str(Image.DELETED)): "over",
}

_context = multiprocessing.get_context("forkserver")


def test_every_state_is_owned_by_an_operation_or_by_somebody() -> None:
    states = {("attachment", str(state)) for state in Attachment} | {("image", str(state)) for state in Image}
    states |= {("volume", status) for status in DURING.values()} | {("attachment", "queued")}
    assert set(OWNED.values()) | set(HOLDERS) == states
    assert not set(OWNED.values()) & set(HOLDERS)
    assert set(OWNED) - set(SCENES) == IMAGES
    assert [kind for kind in OWNED if kind not in FLOWS] == []


def _factory(kind: str) -> str:
    return f"{SCENES[kind].__module__}:{SCENES[kind].__name__}"


def asked(database: Database, kind: str, id: str) -> Why:
    with database.read() as tx:
        return why(tx, NOBODY, kind, id)


@pytest.mark.parametrize("kind", sorted(set(OWNED) - IMAGES))
def test_it_has_an_owner_and_leaves_by_itself(state_dir: Path, kind: str) -> None:
    url, (what, state) = f"sqlite:///{state_dir}/moorage.db", OWNED[kind]
    scene = crash.build(_factory(kind), url, state_dir)
    id = queued(scene) if kind == queue.KIND else scene.begin()
    with scene.database.read() as tx:
        row = journal.get(tx, id)
    assert row is not None
    resource = row["resource_id"] if what == "volume" or kind == queue.KIND else _attachment(row["input"])
    must_be_owned(asked(scene.database, what, resource), state, id)
    if kind != queue.KIND:  # nobody carries that out before its turn comes: there is nobody to be killed
        first = Point(FLOWS[kind].steps[0].name, "before")
        crash.run_and_die(_factory(kind), url, state_dir, id, first)
        must_be_owned(asked(scene.database, what, resource), state, id)
    over = crash.recover(scene, id)
    assert over["state"] in OVER
    scene.check(over)
    leaves(scene.database, what, resource, state, id)


def _attachment(asked: Any) -> str:
    return str(asked.get("attachment") or asked["attachments"][0])


def queued(scene: Scene) -> str:
    """A place whose time is over soon, before its turn has come."""
    id = scene.begin()
    with scene.database.write() as tx:
        row = journal.get(tx, id)
        assert row is not None
        tx.change(queue.attachment_queue, row["resource_id"], {"state": str(queue.State.WAITING)})
        tx.change(journal.operations, id, {"state": "parked", "waits_for": id, "deadline": tx.now})
    return id


def must_be_owned(found: Why, state: str, operation: str) -> None:
    assert found.state == state
    assert found.operation is not None
    assert found.operation.id == operation
    assert found.operation.step
    assert found.next != "Nothing, until somebody asks for something."


def leaves(database: Database, what: str, id: str, state: str, operation: str) -> None:
    """Whatever it is now, the operation that is over does not own it, and nothing else has it in that state."""
    with database.read() as tx:
        assert journal.open_on(tx, "volume", [id]) == []
    try:
        found = asked(database, what, id)
    except Exception as gone:
        assert "There is no" in str(gone)
        return
    assert found.operation is None
    assert found.state != state or what == "attachment"  # published: now its holder's, who has not confirmed it


def test_an_upload_has_an_owner_and_leaves_by_itself(state_dir: Path) -> None:
    url = f"sqlite:///{state_dir}/moorage.db"
    schema.begin(url)
    database = Database(url)
    upgrade(database)
    line = image_world.lines_of_an_upload(database, state_dir) // 2
    id = image_world.new_image(database)
    process = _context.Process(target=image_world.upload_and_die, args=(url, state_dir, id, line), daemon=True)
    process.start()
    process.join(60)
    with database.read() as tx:
        (row,) = journal.open_on(tx, "image", [id])
    must_be_owned(asked(database, "image", id), *OWNED["upload-image"][1:], row["id"])
    rooms = image_world.rooms_on(database, state_dir)
    scene = Scene(database, image_world.FLOWS, rooms, lambda: row["id"], lambda over: None)
    assert crash.recover(scene, row["id"])["state"] in OVER
    found = asked(database, "image", id)
    assert (found.state, found.operation) == ("queued", None)


def test_an_import_has_an_owner_and_leaves_by_itself(state_dir: Path) -> None:
    url, factory = f"sqlite:///{state_dir}/moorage.db", "tests.flows.import_world:importing"
    scene = crash.build(factory, url, state_dir)
    id = scene.begin()
    with scene.database.read() as tx:
        row = journal.get(tx, id)
    assert row is not None
    state = OWNED["import-image"][1]
    must_be_owned(asked(scene.database, "image", row["resource_id"]), state, id)
    crash.run_and_die(factory, url, state_dir, id, Point("store", "before"))
    found = asked(scene.database, "image", row["resource_id"])
    must_be_owned(found, state, id)
    assert [(part.kind, part.id) for part in found.waiting] == [("store", "one"), ("store", "two")]
    scene.check(crash.recover(scene, id))
    leaves(scene.database, "image", row["resource_id"], state, id)
