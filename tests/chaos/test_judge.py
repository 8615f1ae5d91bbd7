"""The judge of a real cloud finds nothing where all is well, and each thing that is planted."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from chaos import judge
from chaos.blocks import block
from chaos.disk import connect, load
from chaos.ledger import Book
from chaos.wire import Wire, auth
from moorage.database import Database, Transaction
from moorage.place import Place
from moorage.volumes.records import attachments, quotas, volumes
from tests.server import Process, clear, down

try:
    load()
except ImportError:
    pytest.skip("needs python3-libnbd, for this version of Python", allow_module_level=True)


TENANT = "os-vol-tenant-attr:tenant_id"


class Scene:
    """A cloud with one volume, in which one block was written and flushed."""

    def __init__(self, state: Path, url: str) -> None:
        self.state, self.url, self.place = state, url, Place(state)
        self.server = Process(state, MOORAGE_DATABASE=url).ready()
        self.wire = Wire([self.server.port], auth(self.place.clouds, "moorage"))
        self.volume = self.server.volume()
        self.project = self.wire.call("GET", f"/volume/v3/volumes/{self.volume}").json["volume"][TENANT]
        self.book = Book()
        self.write(1)
        self.tell(["region", self.volume, True, 0, True, 1], ["write", self.volume, 1, 0, 1], ["ack", self.volume])

    def tell(self, *lines: list[object]) -> None:
        for what, *rest in lines:
            self.book.apply([what, 1.0, *rest])

    def write(self, number: int) -> None:
        asked = {"volume_uuid": self.volume, "connector": {"host": "h", "nbd": True}}
        shown = self.wire.call("POST", "/volume/v3/attachments", {"attachment": asked}).json["attachment"]
        mine = connect(shown["connection_info"])
        mine.write(block(self.volume, 0, number), 0)
        mine.close()
        self.wire.call("DELETE", f"/volume/v3/attachments/{shown['id']}")

    def change(self, work: Callable[[Transaction], object]) -> None:
        database = Database(self.url)
        try:
            database.transact(work)
        finally:
            database.close()

    def judged(self) -> judge.Verdict:
        verdict = judge.Verdict()
        judge.rows(self.url, verdict)
        verdict.left += judge.machine_is_clean(self.place, spares=True)
        if not verdict.stuck:
            judge.bytes_of(self.wire, {"host": "judge", "nbd": True}, [self.book], verdict)
        return verdict


@pytest.fixture
def scene(state_dir: Path, empty_database_url: str) -> Iterator[Scene]:
    made = Scene(state_dir, empty_database_url)
    try:
        yield made
    finally:
        made.server.end()
        down(state_dir, MOORAGE_DATABASE=empty_database_url)
        clear(made.place)


def test_each_thing_that_is_planted_is_found(scene: Scene) -> None:
    assert (scene.judged().good, scene.judged().blocks) == (True, 1)

    scene.write(2)  # a byte that nobody's ledger knows of
    assert [len(scene.judged().lost), len(scene.judged().wrong)] == [1, 0]
    scene.tell(["write", scene.volume, 2, 0, 1], ["ack", scene.volume])
    assert scene.judged().good

    scene.tell(["region", "no-such-volume", True, 0, True, 1])
    assert len(scene.judged().lost) == 1
    scene.tell(["delete", "no-such-volume"])

    row = volumes.c.id == scene.volume
    scene.change(lambda tx: tx.run(update(volumes).where(row).values(status="attaching")))
    verdict = scene.judged()
    assert (len(verdict.stuck), len(verdict.wrong)) == (1, 1)
    scene.change(lambda tx: tx.run(update(volumes).where(row).values(status="available")))

    scene.change(lambda tx: tx.run(update(quotas).where(quotas.c.id == scene.project).values(usage={"volumes": 7})))
    assert len(scene.judged().wrong) == 2
    usage = {"volumes": 1, "gigabytes": 1}
    scene.change(lambda tx: tx.run(update(quotas).where(quotas.c.id == scene.project).values(usage=usage)))
    assert scene.judged().good

    values = {"id": "left-behind", "volume_id": "gone", "project_id": "p", "user_id": "u", "state": "detaching"}
    scene.change(lambda tx: tx.run(insert(attachments).values(**values, created_at=tx.now)))
    verdict = scene.judged()
    assert (len(verdict.stuck), len(verdict.wrong)) == (1, 1)
    gone = attachments.c.id == "left-behind"
    scene.change(lambda tx: tx.run(update(attachments).where(gone).values(state="detached")))

    (scene.place.sockets / "g" / "left-behind").touch()
    (scene.state / "run/daemons/left-behind.json").write_text("{}")
    assert len(scene.judged().left) == 2
    (scene.place.sockets / "g" / "left-behind").unlink()
    (scene.state / "run/daemons/left-behind.json").unlink(missing_ok=True)

    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "nbdkit", str(scene.state)])
    try:
        assert len(scene.judged().left) == 1
    finally:
        sleeper.kill()
        sleeper.wait()
    assert scene.judged().good
