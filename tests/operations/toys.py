"""A toy that a flow makes: a row, a file, and the row naming the file. Small, and done as a real one must be."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Column as C
from sqlalchemy import MetaData, String, Table, delete, insert, select, update

from moorage.core.ids import new_uuid
from moorage.database import Database, Transaction
from moorage.database.migrate import upgrade
from moorage.operations import events, journal
from moorage.operations.flow import Flow, Flows, Step, Work
from moorage.operations.host_lock import HostLock
from moorage.operations.records import State
from moorage.operations.runner import Runner
from tests import schema
from tests.operations.crash import Scene

things = Table(
    "things", MetaData(), C("id", String(64), primary_key=True), C("file", String(128)), C("status", String(16))
)


def reserve(work: Work) -> None:
    """Leave a row."""
    with work.transaction() as tx:
        if tx.one(select(things).where(things.c.id == work.resource_id)) is None:
            tx.run(insert(things).values(id=work.resource_id, status="making"))


def release(work: Work) -> None:
    """Leave no row."""
    with work.transaction() as tx:
        tx.run(delete(things).where(things.c.id == work.resource_id))


def write(work: Work) -> Mapping[str, Any]:
    """Leave one file, written by this run of the step."""
    remove(work)
    path = work.rooms / work.tag
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(descriptor, b"some")
    os.write(descriptor, b"thing")
    os.fsync(descriptor)
    os.close(descriptor)
    return {"file": path.name}


def remove(work: Work) -> None:
    """Leave no file of any run of this operation."""
    for path in work.rooms.glob(f"{work.id}-*"):
        path.unlink(missing_ok=True)


def record(work: Work) -> None:
    """Have the row name the file."""
    with work.transaction() as tx:
        tx.run(update(things).where(things.c.id == work.resource_id).values(file=work.results["write"]["file"]))
        events.record(tx, "thing.made", "thing", work.resource_id, None)


def forget(work: Work) -> None:
    """Have the row name no file."""
    with work.transaction() as tx:
        tx.run(update(things).where(things.c.id == work.resource_id).values(file=None))


def settle(tx: Transaction, row: Mapping[str, Any]) -> None:
    """Derive the status."""
    status = {State.DONE: "available", State.RUNNING: "unmaking"}.get(row["state"], "gone")
    tx.run(update(things).where(things.c.id == row["resource_id"]).values(status=status))


MAKE = Flow(
    "make-thing",
    (
        Step("reserve", reserve, release),
        Step("write", write, remove),
        Step("record", record, forget),
    ),
    settle,
)


def scene(url: str, state: Path, **more: Any) -> Scene:
    """A thing that is to be made."""
    database, files = Database(url, patience_s=1.0), state / "things"
    files.mkdir(exist_ok=True)
    schema.begin(url)
    upgrade(database)
    things.metadata.create_all(database.engine)
    flows = Flows.of([MAKE])
    return Scene(database, flows, files, lambda: begin(database), lambda row: check(database, files, row), **more)


def begin(database: Database, queue: str = "any") -> str:
    """Begin to make a thing."""
    with database.write() as tx:
        return journal.begin(tx, MAKE.kind, "thing", new_uuid(), queue=queue, project_id="p")


def check(database: Database, files: Path, row: Mapping[str, Any]) -> None:
    """Row and file are both there, or neither."""
    with database.read() as tx:
        thing = tx.one(select(things).where(things.c.id == row["resource_id"]))
    found = [path.name for path in files.glob(f"{row['id']}-*")]
    if row["state"] == State.DONE:
        assert thing is not None and thing["status"] == "available" and [thing["file"]] == found
        assert (files / found[0]).read_bytes() == b"something"
    else:
        assert row["state"] == State.UNDONE and thing is None and found == []


def host_scene(url: str, state: Path) -> Scene:
    """The same on a host: only who has the host lock makes things."""
    host = scene(url, state, queues=(), lease_s=1.0)
    host.begin = lambda: begin(host.database, "host:here")

    def start(runner: Runner) -> None:
        lock = HostLock(state / "host.lock", host.database, lease_s=1.0)
        lock.acquire()
        runner.serve("host:here")

    host.start = start
    return host


def brief_scene(url: str, state: Path) -> Scene:
    """The same with short leases."""
    return scene(url, state, lease_s=1.0)
