"""What the tests of image flows share: rooms with a store of files, images, uploads carried out step by step."""

import hashlib
import os
import sys
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

from sqlalchemy import select

from moorage.config import Config
from moorage.core.caller import Caller
from moorage.database import Database
from moorage.database.migrate import upgrade
from moorage.drivers.stores.files import FilesStore
from moorage.flows.images.clear import STAGING
from moorage.flows.images.delete import begin_delete
from moorage.flows.images.incoming.upload import Asked, Upload
from moorage.flows.registry import FLOWS
from moorage.flows.rooms import Rooms
from moorage.images import service
from moorage.images.records import digests, images, locations
from moorage.images.service import New
from moorage.operations.process import Process
from moorage.operations.records import OPEN, operations
from moorage.operations.runner import Runner
from moorage.volumes.backend import Format, Layer
from moorage.volumes.layers import enter
from tests import schema
from tests.operations.crash import Scene

ALICE = Caller("alice", "project-a", roles=frozenset({"reader", "member"}))
PIECES = [bytes([n]) * 700_001 for n in range(5)]
DATA = b"".join(PIECES)
COUNTED = ("/moorage/flows/", "/moorage/images/", "/moorage/drivers/stores/")


def rooms_on(database: Database, state: Path) -> Rooms:
    """Rooms of a process that has not begun to work."""
    me = Process.this("up")
    config = Config(state=state)
    return Rooms(
        database=database,
        state=state,
        run=state,
        host="here",
        process=me.id,
        flows=FLOWS,
        stores={"files": FilesStore("files", state)},
        default_store="files",
        staging=FilesStore(STAGING, state),
        settings=config,
        runner=Runner(database, FLOWS, None, me, set()),
    )


def new_image(database: Database) -> str:
    """The id of a new raw image."""
    new = New(columns={"disk_format": "raw", "container_format": "bare"})
    image = database.transact(lambda tx: service.create(tx, ALICE, new, Config().images))
    return str(image.row["id"])


def upload(rooms: Rooms, id: str) -> None:
    """Upload `DATA` in pieces, as the API does."""
    upload = Upload(rooms, ALICE, id, Asked(size=len(DATA)))
    upload.begin()
    for piece in PIECES:
        upload.take([piece])
        upload.check()
    upload.close()
    upload.record()


class Dying:
    """A tracer that ends the process at the n-th line of flows, images and stores, or counts the lines."""

    def __init__(self, line: int) -> None:
        self.seen, self._line = 0, line

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not any(part in frame.f_code.co_filename for part in COUNTED):
            return None
        if event == "line":
            self.seen += 1
            if self.seen == self._line:
                os.kill(os.getpid(), 9)
        return self


def upload_and_die(url: str, state: Path, id: str, line: int) -> None:
    """What a process does that receives an upload and is killed at its n-th line."""
    database = Database(url)
    rooms = rooms_on(database, state)
    rooms.runner.start()
    sys.settrace(Dying(line))
    upload(rooms, id)
    os._exit(0)


def lines_of_an_upload(database: Database, state: Path) -> int:
    """How many lines there are to die at."""
    rooms, id, counting = rooms_on(database, state), new_image(database), Dying(0)
    rooms.runner.start()
    try:
        sys.settrace(counting)
        upload(rooms, id)
    finally:
        sys.settrace(None)
        rooms.runner.stop()
    return counting.seen


def world(database: Database, state: Path, id: str) -> SimpleNamespace:
    """Everything that there is of an image."""
    with database.read() as tx:
        return SimpleNamespace(
            row=tx.one(select(images).where(images.c.id == id)),
            locations=tx.all(select(locations).where(locations.c.image_id == id)),
            digests=tx.one(select(digests).where(digests.c.image_id == id)),
            open=tx.all(select(operations).where(operations.c.state.in_(OPEN))),
            objects={name for name in FilesStore("files", state).names() if f"/{id}/" in name},
        )


def assert_active_or_untouched(database: Database, state: Path, id: str) -> str:
    """The image has all of its bytes, or none and no sign of a try. Which."""
    it = world(database, state, id)
    if it.row["state"] == "active":
        (place,) = it.locations
        assert it.objects == {place["object"]}
        content = FilesStore("files", state).path(place["object"]).read_bytes()
        assert content == DATA
        assert it.row["checksum"] == hashlib.md5(content).hexdigest()
        assert len(it.digests["digests"]) == 32
    else:
        assert (it.row["state"], it.row["size"], it.row["checksum"], it.row["upload_id"]) == ("queued",) + (None,) * 3
        assert (it.locations, it.digests, it.objects) == ([], None, set())
    assert it.open == []
    return str(it.row["state"])


def deleting(url: str, state: Path) -> Scene:
    """An image with bytes that is about to be deleted."""
    return _deleting(url, state, used=False)


def deleting_what_a_volume_needs(url: str, state: Path) -> Scene:
    """An image whose bytes a layer lies on that is about to be deleted."""
    return _deleting(url, state, used=True)


def _deleting(url: str, state: Path, used: bool) -> Scene:
    schema.begin(url)
    database = Database(url)
    upgrade(database)
    rooms = rooms_on(database, state)

    def begin() -> str:
        id = new_image(database)
        rooms.runner.start()
        upload(rooms, id)
        rooms.runner.stop()
        (place,) = world(database, state, id).locations
        if used:
            below = Layer(place["object"], Format.RAW, len(DATA), None)
            with database.write() as tx:
                enter(tx, below, "files", image_id=id, store="files")
                enter(tx, Layer("volumes/v/1", Format.QCOW2, len(DATA), below), "files")
        return database.transact(lambda tx: begin_delete(tx, ALICE, id))

    def check(row: Any) -> None:
        assert row["state"] == "done"
        it = world(database, state, row["resource_id"])
        assert it.row["state"] == "deleted"
        assert [place["state"] for place in it.locations] == (["forsaken"] if used else [])
        assert len(it.objects) == (1 if used else 0)

    return Scene(database, FLOWS, rooms, begin, check)
