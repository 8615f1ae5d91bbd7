"""
Volumes on real files with real daemons, for the crash tools: each scene begins one operation and knows what must be
true of the world when it is over, done or undone.
"""

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select

from moorage.database import Transaction
from moorage.flows.attachments import lapse_leases
from moorage.flows.images import delete as delete_image
from moorage.flows.volumes import volume_from_image, volume_from_volume
from moorage.hosts import lease
from moorage.images.records import images, locations
from moorage.operations.records import State
from moorage.volumes import layers, quota, volume, volume_type
from moorage.volumes.attachments import attachment, publication, queue, reservation, withdrawal
from moorage.volumes.attachments.queue import Asked
from moorage.volumes.backend import Connection, Door
from moorage.volumes.records import attachments, volumes
from moorage.volumes.records import layers as layer_rows
from moorage.volumes.volume import New
from tests.drivers.clients import client
from tests.flows.volume_world import CALLER, HOST, PROJECT, RULES, Rows, World
from tests.operations.crash import Scene, recover

IMAGE_BYTES = 3 << 20


def _scene(url: str, state: Path, begin: Callable[[World], str], check: Callable[[World, bool], None]) -> Scene:
    world = World.of(url, state)

    def checked(row: Rows) -> None:
        world.volume = row["input"].get("volume", row["resource_id"])
        (world.claim,) = row["input"].get("attachments", [row["resource_id"]])
        try:
            world.finish()
            world.holds()
            check(world, row["state"] == State.DONE)
        finally:
            world.clear()

    return world.scene(lambda: begin(world), checked)


def create(url: str, state: Path) -> Scene:
    """A blank volume is made."""

    def begin(world: World) -> str:
        with world.database.write() as tx:
            volume.create(tx, CALLER, world.new(tx), RULES)
        return world.operation("create-volume")

    return _scene(url, state, begin, _made("blank"))


def _made(path: str) -> Callable[[World, bool], None]:
    def check(world: World, done: bool) -> None:
        row = world.row(world.volume)
        assert row is not None and row["status"] == ("available" if done else "error")
        assert (row["made"] or {}).get("path") == (path if done else None)

    return check


def delete(url: str, state: Path) -> Scene:
    """A copy is deleted, and then nobody needs what it shared."""

    def begin(world: World) -> str:
        world.other = world.made()
        world.volume = world.run(lambda tx: _copy(world, tx))["id"]
        world.volume, world.other = world.other, world.volume
        world.run(lambda tx: volume.delete(tx, CALLER, world.locked(tx)))
        world.volume, world.other = world.other, world.volume
        with world.database.write() as tx:
            return str(volume.delete(tx, CALLER, world.locked(tx)))

    def check(world: World, done: bool) -> None:
        assert done and world.row(world.volume) is None
        assert world.backend.layers() == frozenset()

    return _scene(url, state, begin, check)


def _copy(world: World, tx: Transaction) -> Rows:
    quota.lock(tx, PROJECT)
    source = volume.locked(tx, CALLER, world.other)
    return volume_from_volume.begin(tx, CALLER, source, world.new(tx, source_volid=source["id"], size_gib=2), RULES)


def copy(url: str, state: Path) -> Scene:
    """A volume is made of another."""

    def begin(world: World) -> str:
        world.other = world.made()
        with world.database.write() as tx:
            _copy(world, tx)
        return world.operation("volume-from-volume")

    return _scene(url, state, begin, _made("overlay-on-volume"))


def freeze(url: str, state: Path) -> Scene:
    """A volume is frozen for another one that is made of it."""

    def begin(world: World) -> str:
        world.other = world.made()
        with world.database.write() as tx:
            _copy(world, tx)
        return world.operation("freeze-volume")

    def check(world: World, done: bool) -> None:
        row = world.row(world.volume)
        assert row is not None and row["status"] == "available"

    return _scene(url, state, begin, check)


def freeze_in_use(url: str, state: Path) -> Scene:
    """The same while a client writes to the volume, through a gate that stays as it is."""

    def begin(world: World) -> str:
        world.other = world.volume = world.made()
        world.run(lambda tx: _open(world, tx))
        with world.database.write() as tx:
            row, claim = reservation.locked(tx, CALLER, _claim(tx, world.other)["id"])
            publication.complete(tx, CALLER, row, claim)
        with client(Connection(claim["connection"]["uri"])) as nbd:
            nbd.pwrite(BEFORE, 0)
        with world.database.write() as tx:
            _copy(world, tx)
        return world.operation("freeze-volume")

    def check(world: World, done: bool) -> None:
        with world.database.read() as tx:
            claim = _claim(tx, world.volume)
            head = layers.chain(tx, (world.row(world.volume) or {})["head"])
        assert (claim["state"], claim["generation"]) == ("attached", 1)
        (served,) = world.backend.survey().values()
        assert (served.alive, served.head, head.parent is not None) == (True, head.name, done)
        with client(Connection(claim["connection"]["uri"])) as nbd:
            assert nbd.pread(len(BEFORE), 0) == BEFORE
            nbd.pwrite(AFTER, 0)
            assert nbd.pread(len(BEFORE), 0) == AFTER
        if done:
            assert head.parent is not None
            with (world.rooms.state / head.parent.name).open("rb") as file:
                assert file.read(len(BEFORE)) == BEFORE
        with world.database.read() as tx:
            copied = tx.one(select(volumes).where(volumes.c.source_volid == world.volume)) or {}
            below = (layers.row_of(tx, copied["head"]) or {})["parent"] if copied["head"] else None
        assert below == (head.parent.name if head.parent is not None else None)

    return _scene(url, state, begin, check)


BEFORE, AFTER = b"before" * 1024, b"after!" * 1024


def _claim(tx: Transaction, volume_id: str) -> Rows:
    return tx.one(select(attachments).where(attachments.c.volume_id == volume_id)) or {}


def extend(url: str, state: Path) -> Scene:
    """A volume is extended from 1 to 3 GiB."""

    def begin(world: World) -> str:
        world.volume = world.made()
        with world.database.write() as tx:
            return volume.extend(tx, CALLER, world.locked(tx), 3, RULES.defaults)

    def check(world: World, done: bool) -> None:
        row = world.row(world.volume)
        assert row is not None and row["status"] == "available"
        assert row["size_gib"] in ((3,) if done else (1, 3))  # what failed after it was durable has happened

    return _scene(url, state, begin, check)


def publish(url: str, state: Path) -> Scene:
    """A reserved volume is opened to its holder."""

    def begin(world: World) -> str:
        world.volume = world.made()
        with world.database.write() as tx:
            claim, _ = reservation.reserve(tx, CALLER, world.locked(tx), None, "ro")
        with world.database.write() as tx:
            row, found = reservation.locked(tx, CALLER, claim["id"])
            return str(publication.publish(tx, CALLER, row, found, {"nbd": True, "host": HOST}, Door.SOCKET))

    def check(world: World, done: bool) -> None:
        row = world.row(world.volume)
        assert row is not None and row["status"] == ("attaching" if done else "reserved")
        assert bool(world.backend.survey()) is done

    return _scene(url, state, begin, check)


def wait_in_queue(url: str, state: Path) -> Scene:
    """Somebody waits for a volume, which its holder leaves; he is to be found where he has said."""

    def begin(world: World) -> str:
        world.volume = world.made()
        with world.database.write() as tx:
            held, _ = reservation.reserve(tx, CALLER, world.locked(tx), None, "rw")
        with world.database.write() as tx:
            asked = Asked(None, "rw", {"nbd": True, "host": HOST}, Door.SOCKET)
            world.claim, operation = queue.join(tx, CALLER, world.locked(tx), asked, 300, None)
        with world.database.write() as tx:
            row, found = reservation.locked(tx, CALLER, held["id"])
            withdrawal.withdraw(tx, CALLER, row, [found])
        return operation

    def check(world: World, done: bool) -> None:
        row = world.row(world.volume)
        assert row is not None and row["status"] == ("attaching" if done else "available")
        with world.database.read() as tx:
            assert [claim["id"] for claim in attachment.held(tx, world.volume)] == ([world.claim] if done else [])
            assert not queue.waiting(tx, world.volume) and queue.find(tx, world.claim) is None
        assert bool(world.backend.survey()) is done

    return _scene(url, state, begin, check)


def withdraw(url: str, state: Path) -> Scene:
    """One of two holders goes."""

    def begin(world: World) -> str:
        world.volume = world.run(lambda tx: volume.create(tx, CALLER, _shared(world, tx), RULES))["id"]
        for _ in range(2):
            claim = world.run(lambda tx: _open(world, tx))
        with world.database.write() as tx:
            row, found = reservation.locked(tx, CALLER, claim["id"])
            return str(withdrawal.withdraw(tx, CALLER, row, [found]))

    def check(world: World, done: bool) -> None:
        row = world.row(world.volume)
        assert done and row is not None and row["status"] == "attaching"
        assert [len(served.exports) for served in world.backend.survey().values()] == [1]

    return _scene(url, state, begin, check)


def lapse(url: str, state: Path) -> Scene:
    """One of two holders has not renewed his lease."""

    def begin(world: World) -> str:
        world.volume = world.run(lambda tx: volume.create(tx, CALLER, _shared(world, tx), RULES))["id"]
        for _ in range(2):
            world.claim = world.run(lambda tx: _open(world, tx))["id"]
        world.database.transact(lambda tx: lease.take(tx, world.claim, HOST, 3))
        (operation,) = lapse_leases.lapse(world.rooms, lease.Heard(1 << 62, (world.claim,)))
        return operation

    def check(world: World, done: bool) -> None:
        row = world.row(world.volume)
        assert done and row is not None and row["status"] == "attaching"
        with world.database.read() as tx:
            assert lease.of(tx, world.claim) is None
            claim = tx.get(attachments, world.claim) or {}
        assert (claim["state"], "lapsed" in claim["problem"]) == ("detached", True)
        (served,) = world.backend.survey().values()
        assert len(served.exports) == 1 and world.claim not in served.exports

    return _scene(url, state, begin, check)


def _shared(world: World, tx: Transaction) -> New:
    return world.new(tx, type=volume_type.named(tx, CALLER, "multiattach"))


def _open(world: World, tx: Transaction) -> Rows:
    row = volume.locked(tx, CALLER, world.volume)
    return reservation.reserve(tx, CALLER, row, None, "rw", {"nbd": True, "host": HOST}, Door.SOCKET)[0]


def from_image(url: str, state: Path) -> Scene:
    """A volume is made of an image."""

    def begin(world: World) -> str:
        with world.database.write() as tx:
            _image(world, tx)
            quota.lock(tx, PROJECT)
            source = volume_from_image.Source(IMAGE, lambda backend: ["files"])
            volume_from_image.begin(tx, CALLER, source, lambda image: world.new(tx), RULES)
        return world.operation("volume-from-image")

    return _scene(url, state, begin, _made("overlay"))


def from_foreign_image(url: str, state: Path) -> Scene:
    """A volume is made of an image that has to be converted."""
    return _converting(url, state, deleted=False)


def from_deleted_image(url: str, state: Path) -> Scene:
    """The same, but that the image is deleted meanwhile: its bytes go when they have been converted."""
    return _converting(url, state, deleted=True)


def _converting(url: str, state: Path, *, deleted: bool) -> Scene:
    def begin(world: World) -> str:
        with world.database.write() as tx:
            _image(world, tx, "vmdk", _vmdk(state))
            quota.lock(tx, PROJECT)
            source = volume_from_image.Source(IMAGE, lambda backend: ["files"])
            volume_from_image.begin(tx, CALLER, source, lambda image: world.new(tx), RULES)
        if deleted:
            with world.database.write() as tx:
                id = delete_image.begin_delete(tx, CALLER, IMAGE)
            recover(dataclasses.replace(world.scene(lambda: ""), queues=("any",)), id)
        return world.operation("volume-from-conversion")

    def check(world: World, done: bool) -> None:
        _made("converted")(world, done)
        row = world.row(world.volume)
        assert row is not None
        if done:
            assert (row["base"], row["made"]["bytes"] >= IMAGE_BYTES) == (None, True)
            with (world.rooms.state / row["head"]).open("rb") as file:
                assert file.read(IMAGE_BYTES + MIB) == INSIDE + bytes(MIB)
        else:
            world.run(lambda tx: volume.delete(tx, CALLER, world.locked(tx)))
        with world.database.read() as tx:
            assert [r["id"] for r in tx.all(select(layer_rows))] == ([row["head"]] if done else [])
            assert len(tx.all(select(locations))) == (0 if deleted else 1)
        assert len(world.rooms.stores["files"].names()) == (0 if deleted else 1)

    return _scene(url, state, begin, check)


MIB = 1 << 20
INSIDE = b"imag" * (IMAGE_BYTES // 4)


def _vmdk(state: Path) -> bytes:
    """`INSIDE`, as a real tool puts it into a vmdk."""
    plain, made = state / "plain", state / "made"
    plain.write_bytes(INSIDE)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "vmdk", plain, made], check=True)
    return made.read_bytes()


IMAGE = "11111111-1111-4111-8111-111111111111"


def _image(world: World, tx: Transaction, kind: str = "raw", data: bytes = b"imag" * (IMAGE_BYTES // 4)) -> None:
    name = f"images/{IMAGE}/one-1"
    writer = world.rooms.stores["files"].create(name, len(data))
    writer.write(data)
    writer.commit()
    facts = {
        "disk_format": kind,
        "container_format": "bare",
        "read_as": kind,
        "size": len(data),
        "checksum": "c" * 32,
    }
    same = {
        "virtual_size": IMAGE_BYTES,
        "min_disk_gib": 0,
        "min_ram_mib": 0,
        "version": 1,
        "created_at": 1,
        "updated_at": 1,
    }
    tx.run(
        images.insert().values(id=IMAGE, name="i", state="active", visibility="private", owner=PROJECT, **facts, **same)
    )
    at = {"id": "l", "image_id": IMAGE, "store": "files", "object": name, "state": "held", "created_at": 1}
    tx.run(locations.insert().values(**at))
