"""The scene of a volume that is made of an image which is kept in a volume."""

from pathlib import Path

from sqlalchemy import update

from moorage.core.caller import MOORAGE, Caller
from moorage.flows.volumes import volume_from_image
from moorage.images.records import locations
from moorage.volumes import layers, quota, volume
from moorage.volumes.custody import IMAGE, OBJECT, READY, STATE, STORE
from moorage.volumes.records import volumes
from tests.flows import volume_scenes
from tests.flows.volume_world import CALLER, PROJECT, RULES, World
from tests.operations.crash import Scene

OURS = Caller(MOORAGE, PROJECT, roles=frozenset({"admin", "member", "reader", "service"}))
NAME = f"images/{volume_scenes.IMAGE}/one-1"
SAID = {IMAGE: volume_scenes.IMAGE, STORE: "volumes", OBJECT: NAME, STATE: READY}


def from_image_volume(url: str, state: Path) -> Scene:
    """A volume is made of an image that is kept in a volume, which stays as it was."""
    return volume_scenes._scene(url, state, begin, check)


def begin(world: World) -> str:
    with world.database.write() as tx:
        volume_scenes._image(world, tx)
        tx.run(update(locations).values(store="volumes"))
    named = {"name": f"image-{volume_scenes.IMAGE}", "metadata": SAID}
    kept = world.run(lambda tx: volume.create(tx, OURS, world.new(tx, **named), RULES))["id"]
    with world.database.write() as tx:
        tx.run(update(volumes).where(volumes.c.id == kept).values(readonly=True))
        quota.lock(tx, PROJECT)
        source = volume_from_image.Source(volume_scenes.IMAGE, lambda backend: ["files"], volumes=["volumes"])
        volume_from_image.begin(tx, CALLER, source, lambda image: world.new(tx), RULES)
    return world.operation("volume-from-image-volume")


def check(world: World, done: bool) -> None:
    volume_scenes._made("overlay-on-image-volume")(world, done)
    with world.database.read() as tx:
        kept = tx.one(volumes.select().where(volumes.c.user_id == MOORAGE))
        assert kept is not None and kept["status"] == "available"
        assert not layers.waiting(tx, kept), "nobody waits for it any more"
    with world.database.write() as tx:
        volume.delete(tx, OURS, volume.locked(tx, OURS, kept["id"]))
    world.finish()
    assert world.row(kept["id"]) is None
    world.holds()
    row = world.row(world.volume)
    if done and row is not None:
        with world.database.read() as tx:
            chain = layers.chain(tx, row["head"])
        world.backend._layers.check(chain)  # its bytes are its own now
