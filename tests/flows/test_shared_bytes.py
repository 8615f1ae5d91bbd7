"""Bytes that several need go with the last of them, in whatever order images and volumes are deleted."""

import itertools
from pathlib import Path

import pytest
from sqlalchemy import func, select

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.flows.images.delete import begin_delete
from moorage.flows.volumes import volume_from_image
from moorage.images.records import locations
from moorage.volumes import quota, volume
from moorage.volumes.records import layers
from tests.flows import volume_scenes
from tests.flows.volume_scenes import IMAGE
from tests.flows.volume_world import CALLER, PROJECT, RULES, World

OWNER = Caller("u-demo", PROJECT, roles=frozenset({"member", "reader", "manager", "admin"}))


def of_image(world: World, tx: Transaction) -> str:
    quota.lock(tx, PROJECT)
    source = volume_from_image.Source(IMAGE, lambda backend: ["files"])
    return str(volume_from_image.begin(tx, CALLER, source, lambda image: world.new(tx), RULES)["id"])


def copy(world: World, tx: Transaction, source: str) -> str:
    world.other = source
    return str(volume_scenes._copy(world, tx)["id"])


def delete(world: World, id: str) -> None:
    world.volume = id
    world.run(lambda tx: volume.delete(tx, CALLER, world.locked(tx)))


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::3], ids=str)
def test_the_last_one_takes_them_along(state_dir: Path, order: tuple[int, ...]) -> None:
    """An image, a volume of it, a copy of that and another volume of the image, deleted in every order."""
    world = World.of(f"sqlite:///{state_dir}/moorage.db", state_dir)
    with world.database.write() as tx:
        volume_scenes._image(world, tx)
    first = world.run(lambda tx: of_image(world, tx))
    second = world.run(lambda tx: copy(world, tx, first))
    third = world.run(lambda tx: of_image(world, tx))
    store = world.rooms.stores["files"]
    doomed = [lambda: world.run(lambda tx: begin_delete(tx, OWNER, IMAGE))]
    doomed += [lambda id=id: delete(world, id) for id in (first, second, third)]  # type: ignore[misc]
    for n, which in enumerate(order):
        assert len(store.names()) == 1
        doomed[which]()
        world.holds()
        left = set(order[n + 1 :])
        assert len(store.names()) == (1 if left else 0)
    with world.database.read() as tx:
        assert tx.value(select(func.count()).select_from(layers)) == 0
        assert tx.value(select(func.count()).select_from(locations)) == 0
    world.database.close()


def test_a_volume_says_how_it_was_made(state_dir: Path) -> None:
    world = World.of(f"sqlite:///{state_dir}/moorage.db", state_dir)
    with world.database.write() as tx:
        volume_scenes._image(world, tx)
    made = [world.made(), world.run(lambda tx: of_image(world, tx))]
    made.append(world.run(lambda tx: copy(world, tx, made[0])))
    with world.database.read() as tx:
        said = [volume.made_how(tx, CALLER, id) for id in made]
    assert [one["path"] for one in said if one] == ["blank", "overlay", "overlay-on-volume"]
    assert all(one and one["bytes"] == 0 and one["ms"] >= 0 and one["why"] is None for one in said)
    world.database.close()
