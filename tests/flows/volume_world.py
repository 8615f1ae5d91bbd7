"""The world of volumes in one process of the crash tools: a database, real files with real daemons, a store."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select

from moorage.core.caller import Caller
from moorage.database import Database, Transaction
from moorage.database.migrate import upgrade
from moorage.drivers.backends.files import FilesBackend
from moorage.drivers.backends.files.rights import Rights
from moorage.drivers.stores.files import FilesStore
from moorage.flows.registry import FLOWS
from moorage.flows.rooms import Rooms
from moorage.operations import journal
from moorage.volumes import layers, quota, volume, volume_type
from moorage.volumes.attachments import attachment
from moorage.volumes.bootstrap import bootstrap
from moorage.volumes.records import attachments, volumes
from moorage.volumes.records import layers as layer_rows
from moorage.volumes.settings import VolumeSettings
from moorage.volumes.status import derive
from moorage.volumes.volume import New, Rules
from tests import schema
from tests.operations.crash import Scene, recover

HOST, PROJECT = "here", "d" * 32
CALLER = Caller("u-demo", PROJECT, roles=frozenset({"member", "reader"}))
RULES = Rules(VolumeSettings().quota_defaults())
QUEUES = (f"host:{HOST}", "any")

Rows = Mapping[str, Any]


@dataclasses.dataclass
class World:
    """A database, a backend and a store, as one process sees them."""

    database: Database
    backend: FilesBackend
    rooms: Rooms
    volume: str = ""  #: the volume that the operation is about
    other: str = ""
    claim: str = ""

    @classmethod
    def of(cls, url: str, state: Path) -> "World":
        """The world of this process; the same directories in each."""
        schema.begin(url)
        database = Database(url)
        upgrade(database)
        with database.write() as tx:
            bootstrap(tx)
        root = state / "state"
        for directory in (root, root / "images"):
            directory.mkdir(mode=0o711, exist_ok=True)
        rights = Rights.of()
        store = FilesStore("files", root, (rights.daemon_uid, rights.daemon_gid) if rights.separate else None)
        backend = FilesBackend(root, state / "run", rights)
        rooms = Rooms(
            database=database,
            state=root,
            run=state / "run",
            host=HOST,
            backends={"files": backend},
            stores={"files": store},
            settings=SimpleNamespace(volumes=VolumeSettings()),
        )
        return cls(database, backend, rooms)

    def new(self, tx: Transaction, **more: Any) -> New:
        """A volume of 1 GiB."""
        kind = volume_type.default(tx, PROJECT, "files")
        return New(
            **{"size_gib": 1, "type": kind, "backend": "files", "host": HOST, "availability_zone": "nova", **more}
        )

    def run(self, begin: Callable[[Transaction], Any]) -> Any:
        """What a verb returns, all operations that it has begun being over."""
        with self.database.write() as tx:
            result = begin(tx)
        self.finish()
        return result

    def made(self) -> str:
        """A blank volume that is there."""
        return str(self.run(lambda tx: volume.create(tx, CALLER, self.new(tx), RULES))["id"])

    def finish(self) -> None:
        """Carry out what the operation has left to others, and what these begin in turn."""
        while left := self._open():
            for id in left:
                recover(self.scene(lambda: ""), id)

    def _open(self) -> list[str]:
        with self.database.read() as tx:
            return [row["id"] for row in tx.all(select(journal.operations.c.id).where(journal.is_open()))]

    def scene(self, begin: Callable[[], str], check: Callable[[Rows], None] = lambda row: None) -> Scene:
        return Scene(database=self.database, flows=FLOWS, rooms=self.rooms, begin=begin, check=check, queues=QUEUES)

    def locked(self, tx: Transaction) -> Rows:
        return volume.locked(tx, CALLER, self.volume, with_quota=True)

    def operation(self, kind: str) -> str:
        """The id of the operation of that kind."""
        with self.database.read() as tx:
            return str(tx.value(select(journal.operations.c.id).where(journal.operations.c.kind == kind)))

    def row(self, id: str) -> Rows | None:
        with self.database.read() as tx:
            return tx.one(select(volumes).where(volumes.c.id == id))

    def holds(self) -> None:
        """What is true whatever has happened: rows, files, exports and counts agree."""
        with self.database.read() as tx:
            known = {row["id"] for row in tx.all(select(layer_rows)) if row["image_id"] is None}
            assert self.backend.layers() == known
            open_doors = {
                (a["volume_id"], a["id"]) for a in tx.all(select(attachments)) if a["connection"] and a["export"]
            }
            assert {(v, a) for v, served in self.backend.survey().items() for a in served.exports} == open_doors
            assert quota.usage(tx, PROJECT) == quota.recount(tx, PROJECT)
            for row in tx.all(select(volumes)):
                operations = [o["kind"] for o in journal.open_on(tx, "volume", [row["id"]])]
                held = [attachment.standing(a) for a in attachment.held(tx, row["id"])]
                known_of = {
                    "bytes_there": row["head"] is not None,
                    "failed": row["failed"],
                    "override": row["override"],
                }
                assert row["status"] == derive(operations=operations, held=held, **known_of)
                if row["head"] is not None:
                    layers.chain(tx, row["head"])

    def clear(self) -> None:
        """Leave no daemon."""
        for served in self.backend.survey():
            self.backend.clear(served)
