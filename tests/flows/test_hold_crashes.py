"""What the calls that name no attachment begin, killed anywhere: a hold opens or never was, a door closes for good."""

from pathlib import Path

import pytest

from moorage.flows.registry import FLOWS
from moorage.operations.records import State as Done
from moorage.volumes import volume
from moorage.volumes.attachments import attachment, detachment, hold, holder
from moorage.volumes.attachments.attachment import Mark, Origin, State
from moorage.volumes.attachments.guard import Grounds
from moorage.volumes.attachments.holder import Holder
from moorage.volumes.backend import Door
from tests.flows.volume_scenes import _scene
from tests.flows.volume_world import CALLER, HOST, World
from tests.operations import crash
from tests.operations.crash import Point, Scene

PLACE = {"nbd": True, "host": HOST}


def _held(world: World) -> list[tuple[str, str | None, str | None]]:
    with world.database.read() as tx:
        held = attachment.held(tx, world.volume)
    return [(claim["state"], claim["origin"], claim["mark"]) for claim in held]


def connect(url: str, state: Path) -> Scene:
    """os-initialize_connection of a volume that nobody holds."""

    def begin(world: World) -> str:
        world.volume = world.made()
        with world.database.write() as tx:
            return str(hold.connect(tx, CALLER, world.locked(tx), PLACE, Door.SOCKET)[1])

    def check(world: World, done: bool) -> None:
        row = world.row(world.volume)
        assert row is not None and row["status"] == ("attaching" if done else "available")
        assert _held(world) == ([(State.ATTACHING, Origin.HOLD, None)] if done else [])
        assert bool(world.backend.survey()) is done

    return _scene(url, state, begin, check)


def _attached(world: World) -> None:
    world.volume = world.made()
    world.run(lambda tx: hold.connect(tx, CALLER, volume.locked(tx, CALLER, world.volume), PLACE, Door.SOCKET)[0])
    with world.database.write() as tx:
        holder.attach(tx, CALLER, world.locked(tx), Holder(None, HOST, "/mnt"))


def terminate(url: str, state: Path) -> Scene:
    """os-terminate_connection of an attachment, which stays for os-detach."""

    def begin(world: World) -> str:
        _attached(world)
        with world.database.write() as tx:
            return str(detachment.disconnect(tx, CALLER, world.locked(tx), PLACE, Grounds("refuse")))

    def check(world: World, done: bool) -> None:
        row = world.row(world.volume)
        assert done and row is not None and row["status"] == "detaching" and world.backend.survey() == {}
        assert _held(world) == [(State.ATTACHED, Origin.OLD, Mark.LEAVING)]

    return _scene(url, state, begin, check)


def detach_meanwhile(url: str, state: Path) -> Scene:
    """The same, detached before its door is closed."""

    def begin(world: World) -> str:
        _attached(world)
        with world.database.write() as tx:
            closing = detachment.disconnect(tx, CALLER, world.locked(tx), PLACE, Grounds("refuse"))
        with world.database.write() as tx:
            assert detachment.detach(tx, CALLER, world.locked(tx), None, Grounds("refuse")) == closing
        return str(closing)

    def check(world: World, done: bool) -> None:
        row = world.row(world.volume)
        assert done and row is not None and row["status"] == "available" and world.backend.survey() == {}
        assert _held(world) == []

    return _scene(url, state, begin, check)


SCENES = {
    "connect": "publish-attachment",
    "terminate": "withdraw-attachment",
    "detach_meanwhile": "withdraw-attachment",
}
PLACES = [(name, point) for name, kind in SCENES.items() for point in crash.points(FLOWS[kind], (3, 20))]


@pytest.mark.parametrize(("name", "point"), PLACES, ids=str)
def test_killed_anywhere_it_converges(state_dir: Path, name: str, point: Point) -> None:
    if point.back and SCENES[name] == "withdraw-attachment":
        pytest.skip("it is never turned back")
    row = crash.converges(f"{__name__}:{name}", f"sqlite:///{state_dir}/moorage.db", state_dir, point)
    assert row["state"] == Done.DONE or point.back
