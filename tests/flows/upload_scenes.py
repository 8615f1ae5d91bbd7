"""Volumes that become images, for the crash tools: whatever happens, image, volume and bytes go without a trace."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select

from moorage.config import Config
from moorage.flows.images.delete import begin_delete
from moorage.flows.images.of_volumes import volume_upload
from moorage.images.records import digests, images, locations
from moorage.images.settings import ImageSettings
from moorage.operations.records import State
from moorage.volumes import layers, volume
from moorage.volumes.attachments import publication, reservation
from moorage.volumes.records import layers as layer_rows
from moorage.volumes.records import volumes
from tests.flows import volume_scenes
from tests.flows.volume_world import CALLER, Rows, World
from tests.operations.crash import Scene, recover

DATA = b"what the volume holds" * 100


def world_of(url: str, state: Path) -> World:
    """A world whose settings know stores and backends."""
    world = World.of(url, state)
    world.rooms.settings = Config(state=world.rooms.state, images=ImageSettings(hash_rate_mib=0))
    world.rooms.default_store = "files"
    return world


def show(url: str, state: Path) -> Scene:
    """A volume that lies on another becomes an image, which is a view."""
    return _scene(url, state, lambda world: _begin(world, "raw"))


def link(url: str, state: Path) -> Scene:
    """A volume that lies on nothing becomes an image, which is another name of its file."""
    return _scene(url, state, lambda world: _begin(world, "raw", below=False))


def pin(url: str, state: Path) -> Scene:
    """A volume in use is frozen, to be copied into an image of another format."""
    return _scene(url, state, lambda world: _begin(world, "qcow2", used=True))


def copy(url: str, state: Path) -> Scene:
    """A volume is copied into an image of another format."""
    return _scene(url, state, lambda world: _begin(world, "qcow2"))


def copy_pinned(url: str, state: Path) -> Scene:
    """The copy of a volume in use, which is frozen already."""

    def begin(world: World) -> str:
        first = _begin(world, "qcow2", used=True)
        recover(world.scene(lambda: ""), first)
        return world.operation("copy-volume-to-image")

    return _scene(url, state, begin)


def _begin(world: World, disk_format: str, *, below: bool = True, used: bool = False) -> str:
    world.volume = world.other = world.made()
    _write(world)
    if below:
        world.volume = world.run(lambda tx: volume_scenes._copy(world, tx))["id"]
    if used:
        world.run(lambda tx: volume_scenes._open(world, tx))
        with world.database.write() as tx:
            row, claim = reservation.locked(tx, CALLER, volume_scenes._claim(tx, world.volume)["id"])
            publication.complete(tx, CALLER, row, claim)
    asked = volume_upload.Asked("an image", disk_format=disk_format, force=used)
    with world.database.write() as tx:
        row = volume.find(tx, CALLER, world.volume)
        return volume_upload.begin(tx, world.rooms, CALLER, row, asked).operation


def _write(world: World) -> None:
    with (world.rooms.state / (world.row(world.volume) or {})["head"]).open("r+b") as file:
        file.write(DATA)


def _scene(url: str, state: Path, begin: Callable[[World], str]) -> Scene:
    world = world_of(url, state)

    def checked(row: Rows) -> None:
        try:
            _check(world, row)
        finally:
            world.clear()

    return world.scene(lambda: begin(world), checked)


def _check(world: World, row: Rows) -> None:
    id, done = row["input"]["image"], row["state"] == State.DONE
    with world.database.read() as tx:
        image = tx.get(images, id) or {}
    if done and image["state"] == "saving":  # frozen and pinned; the rest is the copy's
        world.finish()
        with world.database.read() as tx:
            image = tx.get(images, id) or {}
    assert image["state"] == ("active" if done else "deleted")
    if done:
        _has_its_bytes(world, image)
    with world.database.write() as tx:
        if done:
            begin_delete(tx, CALLER, id, world.rooms.host_queue)
    world.finish()
    world.holds()
    with world.database.read() as tx:
        assert tx.all(select(locations)) == []
        statuses = {found["status"] for found in tx.all(select(volumes))}
        known = {found["id"] for found in tx.all(select(layer_rows))}
    assert statuses <= {"available", "in-use"}
    assert world.rooms.stores["files"].names() == frozenset()
    assert world.backend.layers() == known  # of volumes, and of nothing else


def _has_its_bytes(world: World, image: Rows) -> None:
    store = world.rooms.stores["files"]
    with world.database.read() as tx:
        (place,) = tx.all(select(locations))
        layer = layers.row_of(tx, place["object"])
        known = tx.one(select(digests))
    assert store.size(place["object"]) == image["size"]
    if image["disk_format"] == "raw":
        assert image["checksum"] is None and known is None
        assert (layer is not None) == store.lies_on_layers(place["object"])
        assert next(iter(store.open(place["object"], 0, len(DATA)))) == DATA
    else:
        assert image["checksum"] is not None and known is not None
