"""A real server with a real data plane for crowds of clients, and the check that nothing of it is left."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.wire import Answer, Wire, auth, service
from moorage.database import Database
from moorage.operations import journal
from moorage.operations.records import operations
from moorage.place import Place
from moorage.volumes.records import attachments
from tests.drivers.clients import libnbd
from tests.drivers.plane import arguments, eventually, running
from tests.server import Process, down

assert libnbd  # or the tests are skipped


class Crowd:
    """One server, and what its clients' calls and its leftovers are checked with."""

    def __init__(self, state: Path, url: str) -> None:
        self.state, self.place, self.url = state, Place(state), url
        self.server = Process(state, MOORAGE_DATABASE=url).ready()
        self.refused: list[str] = []
        self.admin = self.wire("moorage-admin")
        self._service = Wire([self.server.port], service(self.admin))
        self.demo = self.wire("moorage")

    def wire(self, cloud: str) -> Wire:
        """Whoever calls; a tenant comes through Compute, whose service token vouches for him."""

        def heard(method: str, path: str, answer: Answer) -> None:
            if answer.status >= 400:
                self.refused.append(f"{method} {path}: {answer.status} {answer.sentence()}")

        vouching = self._service if cloud == "moorage" else None
        return Wire([self.server.port], auth(self.place.clouds, cloud), service=vouching, heard=heard)

    def shared(self, count: int) -> list[str]:
        """New volumes that several may use."""
        asked = {"volume_type": {"name": "shared", "extra_specs": {"multiattach": "<is> True"}}}
        type_id = self.admin.call("POST", "/volume/v3/types", asked).json["volume_type"]["id"]
        body = {"volume": {"size": 1, "volume_type": type_id}}
        made = [self.demo.call("POST", "/volume/v3/volumes", body).json["volume"]["id"] for _ in range(count)]
        for id in made:
            self.server.until(f"/volume/v3/volumes/{id}", "available")
        return made

    def leftovers(self) -> list[str]:
        """Rows, operations, daemons, gates, sockets, keys and records that are still there."""
        database = Database(self.url)
        try:
            with database.read() as tx:
                rows = [row["id"] for row in tx.all(attachments.select().where(attachments.c.state != "detached"))]
                rows += [row["id"] for row in tx.all(operations.select().where(journal.is_open()))]
        finally:
            database.close()
        spares = [json.loads(path.read_text())["process"]["pid"] for path in self.state.glob("run/spares/*.json")]
        programs = ("nbdkit", "qemu-storage-daemon", "nbdfuse")
        words = [(pid, arguments(pid)) for pid in running() if pid not in spares]
        mine = (str(self.state), str(self.place.sockets))
        left = [text for _, text in words if any(p in text for p in programs) and any(m in text for m in mine)]
        gates = [path.name for folder in "gk" for path in (self.place.sockets / folder).iterdir()]
        return rows + left + gates + [path.name for path in self.state.glob("run/daemons/*")]

    def nothing_left(self) -> bool:
        return eventually(lambda: not self.leftovers())


@pytest.fixture
def crowd(state_dir: Path, database_url: str) -> Iterator[Crowd]:
    made = Crowd(state_dir, database_url)
    try:
        yield made
    finally:
        made.server.end()
        down(state_dir, MOORAGE_DATABASE=database_url)
        shutil.rmtree(made.place.sockets, ignore_errors=True)
        for log in state_dir.parent.glob(f"{state_dir.name}-*.log"):
            log.unlink()
