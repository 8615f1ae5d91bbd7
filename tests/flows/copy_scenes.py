"""Volumes of images in a store out of reach, for the crash tools: lazy, awaited, and what fills their copies."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select

from moorage.config import Config, StoreSettings
from moorage.database import Transaction
from moorage.drivers.stores.files import FilesStore
from moorage.flows.images import delete as delete_image
from moorage.flows.volumes import hydrate_copy, volume_from_image
from moorage.flows.volumes.copy_supply import StoreSupply
from moorage.images.records import digests, images, locations
from moorage.operations.records import State
from moorage.volumes import quota, volume
from moorage.volumes.backend import CHUNK_BYTES
from moorage.volumes.records import copies
from moorage.volumes.settings import VolumeSettings
from tests.drivers.origin import digests_of, noise
from tests.flows.volume_scenes import IMAGE
from tests.flows.volume_world import CALLER, PROJECT, RULES, Rows, World
from tests.operations.crash import Scene

DATA = noise(2 * CHUNK_BYTES + 4096, seed=9)
STORES = (StoreSettings("files"), StoreSettings("far"))


def world(url: str, state: Path) -> World:
    """The usual one, with a store that volumes cannot lie on."""
    made = World.of(url, state)
    far = state / "far"
    far.mkdir(exist_ok=True)
    rooms = made.rooms
    rooms.stores = {**rooms.stores, "far": FilesStore("far", far)}
    rooms.settings = SimpleNamespace(
        volumes=VolumeSettings(hydration_mib_per_s=0), images=Config().images, stores=STORES
    )
    made.backend.supply(StoreSupply(rooms))
    return made


def _image(of: World, tx: Transaction, known: bool) -> None:
    name = f"images/{IMAGE}/one-1"
    writer = of.rooms.stores["far"].create(name, len(DATA))
    writer.write(DATA)
    writer.commit()
    row: dict[str, Any] = {"id": IMAGE, "name": "i", "state": "active", "visibility": "private", "owner": PROJECT}
    row |= {"disk_format": "raw", "container_format": "bare", "read_as": "raw", "size": len(DATA)}
    row |= {"min_disk_gib": 0, "min_ram_mib": 0, "version": 1, "created_at": 1, "updated_at": 1}
    tx.run(images.insert().values(**row))
    at = {"id": "l", "image_id": IMAGE, "store": "far", "object": name, "state": "held", "created_at": 1}
    tx.run(locations.insert().values(**at))
    if known:
        tx.run(digests.insert().values(image_id=IMAGE, digests=digests_of(DATA)))


def _scene(url: str, state: Path, kind: str, *, known: bool = True, deleted: bool = False) -> Scene:
    it = world(url, state)

    def begin() -> str:
        with it.database.write() as tx:
            _image(it, tx, known)
            quota.lock(tx, PROJECT)
            source = volume_from_image.Source(IMAGE, lambda backend: ["files"], far=["far"])
            volume_from_image.begin(tx, CALLER, source, lambda image: it.new(tx), RULES)
        if deleted:
            with it.database.write() as tx:
                delete_image.begin_delete(tx, CALLER, IMAGE, "any")
        return it.operation(kind)

    def checked(row: Rows) -> None:
        try:
            hydrate_copy.resume(it.rooms)
            it.finish()
            it.holds()
            _check(it, row["kind"] == hydrate_copy.KIND or row["state"] == State.DONE, deleted)
        finally:
            it.clear()

    return it.scene(begin, checked)


def _check(it: World, made: bool, deleted: bool) -> None:
    """The volume is there and its copy is right, or nothing is; the source is there as long as the image is."""
    with it.database.read() as tx:
        (row,) = tx.all(select(volume.volumes))
        found = tx.all(select(copies))
    it.volume = row["id"]
    assert row["status"] == ("available" if made else "error")
    if made:
        (copy,) = found
        assert copy["state"] == "whole" and (it.rooms.state / copy["layer"]).read_bytes() == DATA
    else:
        assert (row["base"], found) == (None, []), "what is not there needs no copy"
    assert len(it.rooms.stores["far"].names()) == (0 if deleted else 1)
    it.run(lambda tx: volume.delete(tx, CALLER, it.locked(tx)))
    with it.database.read() as tx:
        assert tx.all(select(copies)) == []
        assert len(tx.all(select(locations))) == (0 if deleted else 1)
    assert not [path for path in (it.rooms.state / "copies").rglob("*") if path.is_file()]
    assert len(it.rooms.stores["far"].names()) == (0 if deleted else 1)


def lazy(url: str, state: Path) -> Scene:
    """A volume that lies on a copy at once."""
    return _scene(url, state, "volume-from-copy")


def awaited(url: str, state: Path) -> Scene:
    """A volume whose image has to be read first."""
    return _scene(url, state, "volume-from-download", known=False)


def hydrated(url: str, state: Path) -> Scene:
    """A copy is filled, and its image is deleted meanwhile."""
    return _scene(url, state, "hydrate-copy", deleted=True)


def downloaded(url: str, state: Path) -> Scene:
    """An image of which no digests are known is read, and deleted meanwhile."""
    return _scene(url, state, "hydrate-copy", known=False, deleted=True)


SCENES: dict[str, Callable[[str, Path], Scene]] = {
    "volume-from-copy": lazy,
    "volume-from-download": awaited,
    "hydrate-copy": hydrated,
}
