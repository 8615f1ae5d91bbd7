"""Conversions that take their time, for the crash tools: of what is imported, and of an image for a volume."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from moorage.config import Config
from moorage.database import Database
from moorage.database.migrate import upgrade
from moorage.drivers.backends.files.rights import Rights
from moorage.drivers.programs import Helpers
from moorage.drivers.stores.files import FilesStore
from moorage.drivers.transformations.conversion import Conversion
from moorage.flows.images.clear import STAGING
from moorage.flows.images.incoming.stage import Stage
from moorage.flows.registry import FLOWS
from moorage.flows.rooms import Rooms
from moorage.images import service
from moorage.images.service import New
from tests.drivers.origin import noise
from tests.flows import volume_scenes
from tests.flows.image_world import ALICE
from tests.flows.import_world import STORES, alive, assert_untouched, begin_staged, import_rooms, quiet, world
from tests.operations.crash import Point, Scene

DISK = noise(3 << 20, seed=5)
SCRIPT = 'sleep 1; exec qemu-img "$@"'
MIDDLE = 14  #: the line of `_collect` at which the program has been running for a while, and has not done anything yet


def middle(step: str) -> Point:
    """In the middle of a conversion: while the program runs."""
    return Point(step, "line", MIDDLE, inside="_collect")


class Slow(Helpers):
    """Begins late with each conversion, so that its middle is not over before anybody can come to it."""

    def run(self, argv: Sequence[str], **more: Any) -> bytes:
        if argv[:2] == ["qemu-img", "convert"]:
            argv = ["sh", "-c", SCRIPT, "sh", *argv[1:]]
        return super().run(argv, **more)


def _qcow2(folder: Path) -> bytes:
    plain, made = folder / "plain", folder / "disk.qcow2"
    plain.write_bytes(DISK)
    words = ("qemu-img", "convert", "-f", "raw", "-O", "qcow2", plain, made)
    subprocess.run(words, check=True, timeout=60)
    content = made.read_bytes()
    plain.unlink()
    made.unlink()
    return content


def _staged(rooms: Rooms, content: bytes) -> str:
    new = New(columns={"disk_format": "qcow2", "container_format": "bare"})
    image = rooms.database.transact(lambda tx: service.create(tx, ALICE, new, Config().images))
    id = str(image.row["id"])
    with alive(rooms):
        staged = Stage(rooms, ALICE, id, SimpleNamespace(size=len(content), store=None, base=None))  # type: ignore[arg-type]
        staged.begin()
        staged.take([content])
        staged.close()
        staged.record()
    return id


def importing(url: str, state: Path) -> Scene:
    """A staged qcow2 that two stores want as raw."""
    database = Database(url)
    upgrade(database)
    rights = Rights.of()
    rooms = import_rooms(database, state)
    owner = (0, rights.daemon_uid) if rights.separate else None
    rooms.staging = FilesStore(STAGING, state, owner)
    rooms.transformations = (Conversion(dict.fromkeys(STORES, "raw"), rights, Slow()),)

    def check(row: Any) -> None:
        quiet(scene)
        it, left = world(scene, row["resource_id"]), list((state / "scratch").glob("*"))
        assert left == []
        if row["state"] != "done":
            assert_untouched(scene, row["resource_id"])
            return
        assert (it.row["state"], it.row["disk_format"], it.staged, it.files) == ("active", "raw", [], [])
        assert it.objects == {store: {it.locations[store]} for store in STORES}
        for store in STORES:
            assert FilesStore(store, state / store).path(it.locations[store]).read_bytes() == DISK

    scene = Scene(database, FLOWS, rooms, lambda: begin_staged(rooms, _staged(rooms, _qcow2(state))), check)
    return scene


def volume(url: str, state: Path) -> Scene:
    """A volume is made of an image on which it cannot lie."""
    scene = volume_scenes.from_foreign_image(url, state)
    backend = scene.rooms.backends["files"]
    backend._layers._helpers = Slow()
    return scene
