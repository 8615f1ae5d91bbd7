"""Hashing in the background, and comparing what others have put somewhere: killed anywhere it converges."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from moorage.config import Config, StoreSettings
from moorage.database import Database
from moorage.database.migrate import upgrade
from moorage.flows.images.locations import hash_image, locate
from moorage.flows.images.locations.locate import Found, Said
from moorage.flows.pace import Pace
from moorage.flows.registry import FLOWS
from moorage.images.image import State as Image
from moorage.images.records import digests, hashes, images, properties, tasks
from moorage.images.settings import ImageSettings
from moorage.images.signatures.claim import PROPERTIES
from moorage.images.store import ObjectMissing, Store, StoreReadOnly, Traits, Writer
from moorage.operations import journal
from moorage.operations.records import State, operations
from tests import schema
from tests.flows import image_world
from tests.flows.image_world import ALICE, DATA
from tests.operations import crash
from tests.operations.crash import Point, Scene

URL = "http://elsewhere/disk"
HERE = __name__


class Elsewhere(Store):
    """One object that others have written: `DATA`."""

    kind, traits = "http", Traits(read_only=True, adopts=True)

    def create(self, name: str, size: int | None) -> Writer:
        raise StoreReadOnly(store=self.id)

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        if name != URL:
            raise ObjectMissing(image=name, store=self.id)
        return iter([DATA[at : at + 100_000] for at in range(0, len(DATA), 100_000)])

    def delete(self, name: str) -> None:
        raise AssertionError("what others have written is deleted")

    def size(self, name: str) -> int:
        return len(DATA)

    def names(self) -> frozenset[str]:
        return frozenset()

    def free(self) -> int | None:
        return None

    def adopt(self, url: str) -> str:
        return url


def _world(url: str, state: Path) -> Any:
    schema.begin(url)
    database = Database(url)
    upgrade(database)
    rooms = image_world.rooms_on(database, state)
    stores = (StoreSettings(), StoreSettings(id="web", kind="http"))
    rooms.settings = Config(state=state, images=ImageSettings(hash_rate_mib=0), stores=stores)
    rooms.stores = {**rooms.stores, "web": Elsewhere("web")}
    return rooms


def hashing(url: str, state: Path) -> Scene:
    """An image with bytes that nobody has hashed."""
    rooms = _world(url, state)

    def begin() -> str:
        id = image_world.new_image(rooms.database)
        rooms.runner.start()
        image_world.upload(rooms, id)
        rooms.runner.stop()
        unknown = dict.fromkeys(("checksum", "os_hash_algo", "os_hash_value", "virtual_size", "read_as"))
        with rooms.database.write() as tx:
            tx.run(update(images).where(images.c.id == id).values(**unknown))
            tx.run(delete(digests))
            return hash_image.begin(tx, tx.get(images, id) or {}, "any", "sha512")

    return Scene(rooms.database, FLOWS, rooms, begin, lambda row: _hashed(rooms, row))


def _hashed(rooms: Any, row: Mapping[str, Any]) -> None:
    with rooms.database.read() as tx:
        image = tx.get(images, row["resource_id"]) or {}
        kept = tx.all(select(digests))
    assert image["state"] == Image.ACTIVE
    known = row["state"] == State.DONE or image["checksum"] is not None  # what was learnt is true, whatever came then
    expected = hashlib.md5(DATA).hexdigest() if known else None
    assert (image["checksum"], len(kept)) == (expected, 1 if known else 0)
    assert (image["os_hash_value"], image["read_as"]) == (
        (hashlib.sha512(DATA).hexdigest(), "raw") if known else (None, None)
    )


def proving(url: str, state: Path) -> Scene:
    """An image that nobody has looked at, and whose signature is over a hash that nobody has taken."""
    rooms = _world(url, state)

    def begin() -> str:
        id = image_world.new_image(rooms.database)
        rooms.runner.start()
        image_world.upload(rooms, id)
        rooms.runner.stop()
        said = dict(zip(PROPERTIES, ("c2ln", "SHA-384", "RSA-PSS", "a certificate"), strict=True))
        with rooms.database.write() as tx:
            tx.run(update(images).where(images.c.id == id).values(virtual_size=None, read_as=None))
            tx.run(insert(properties), [{"image_id": id, "name": name, "value": said[name]} for name in said])
            return str(hash_image.prove(tx, rooms, id))

    return Scene(rooms.database, FLOWS, rooms, begin, lambda row: _proven(rooms, row))


def _proven(rooms: Any, row: Mapping[str, Any], *methods: str) -> None:
    with rooms.database.read() as tx:
        image = tx.get(images, row["resource_id"]) or {}
        kept = {one["algorithm"]: one["value"] for one in tx.all(select(hashes))}
    assert (image["state"], image["checksum"]) == (Image.ACTIVE, hashlib.md5(DATA).hexdigest())
    if row["state"] == State.DONE or kept:
        taken = {name: hashlib.new(name, DATA).hexdigest() for name in methods or ("sha384",)}
        assert (image["read_as"], image["virtual_size"], kept) == ("raw", len(DATA), taken)


def comparing(url: str, state: Path) -> Scene:
    """An image whose bytes are elsewhere, and said to be what they are."""
    return _comparing(url, state, hashlib.sha256(DATA).hexdigest())


def comparing_in_vain(url: str, state: Path) -> Scene:
    """The same, with a hash that is not theirs."""
    return _comparing(url, state, "0" * 64)


def _comparing(url: str, state: Path, value: str) -> Scene:
    rooms = _world(url, state)

    def begin() -> str:
        id = image_world.new_image(rooms.database)
        found, said = Found("web", URL, len(DATA)), Said("sha256", value)
        return str(rooms.database.transact(lambda tx: locate.begin(tx, rooms, ALICE, id, URL, said, found)))

    def check(row: Any) -> None:
        it = image_world.world(rooms.database, state, row["resource_id"])
        with rooms.database.read() as tx:
            task = tx.get(tasks, row["id"]) or {}
        if row["state"] == State.DONE:
            assert [place["object"] for place in it.locations] == [URL]
            assert (it.row["state"], it.row["checksum"]) == (Image.ACTIVE, hashlib.md5(DATA).hexdigest())
            assert (it.row["os_hash_algo"], it.row["os_hash_value"]) == ("sha256", value)
            assert (task["state"], it.digests is None) == ("success", False)
        else:
            assert (it.row["state"], it.row["checksum"], it.row["size"]) == (Image.QUEUED, None, None)
            assert (it.locations, it.digests, task["state"]) == ([], None, "failure")
        assert it.open == []

    return Scene(rooms.database, FLOWS, rooms, begin, check)


SCENES = [
    *(("hashing", point) for point in crash.points(hash_image.HASH_IMAGE, (3, 20, 60, 200))),
    *(("proving", point) for point in crash.points(hash_image.HASH_IMAGE, (60,))),
    *(("comparing", point) for point in crash.points(locate.IMPORT_LOCATION, (3, 20, 60, 200))),
]
SAMPLE = [
    ("hashing", Point("hash", "line", 60)),
    ("proving", Point("hash", "line", 60)),
    ("comparing", Point("compare", "line", 60)),
]


def _converges(scene: str, url: str, state: Path, point: Point) -> None:
    row = crash.converges(f"{HERE}:{scene}", url, state, point)
    assert row["state"] == State.DONE or point.back


@crash.ON_ENGINES
@pytest.mark.parametrize(("scene", "point"), SCENES, ids=str)
def test_killed_anywhere_it_converges(database_url: str, state_dir: Path, scene: str, point: Point) -> None:
    _converges(scene, database_url, state_dir, point)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("scene", "point"), SAMPLE, ids=str)
def test_killed_inside_it_converges_on_postgresql(database_url: str, state_dir: Path, scene: str, point: Point) -> None:
    _converges(scene, database_url, state_dir, point)


@crash.ON_ENGINES
@pytest.mark.parametrize("place", ["before", "done"])
def test_what_is_not_what_was_said_is_not_taken_in_by_a_second_run(
    database_url: str, state_dir: Path, place: str
) -> None:
    row = crash.converges(f"{HERE}:comparing_in_vain", database_url, state_dir, Point("compare", place))
    assert (row["state"], row["error_code"]) == (State.UNDONE, "image.hash-differs")


def test_a_signature_that_changes_meanwhile_is_seen_to_as_well(database_url: str, state_dir: Path) -> None:
    built = crash.build(f"{HERE}:proving", database_url, state_dir)
    id, store = built.begin(), built.rooms.stores["files"]
    opened = store.open

    def changing(*words: Any) -> Any:
        store.open = opened
        with built.database.write() as tx:
            method = update(properties).where(properties.c.name == "img_signature_hash_method")
            tx.run(method.values(value="SHA-224"))
            row = journal.get(tx, id) or {}
            assert hash_image.prove(tx, built.rooms, row["resource_id"]) == id, "it is under way already"
        return opened(*words)

    store.open = changing
    row = crash.recover(built, id)
    with built.database.read() as tx:
        o = operations.c
        (other,) = tx.all(select(operations).where(o.kind == hash_image.KIND, o.id != id))  # perhaps over already
    _proven(built.rooms, crash.recover(built, other["id"]), "sha384", "sha224")
    with built.database.read() as tx:
        assert journal.open_on(tx, hash_image.RESOURCE, [row["resource_id"]]) == []


@pytest.mark.parametrize("scene", ["hashing", "proving", "comparing"])
def test_twice_is_once(state_dir: Path, scene: str) -> None:
    built = crash.build(f"{HERE}:{scene}", f"sqlite:///{state_dir}/moorage.db", state_dir)
    id = built.begin()
    kind = locate.KIND if scene == "comparing" else hash_image.KIND
    built.flows = crash.twice(built.flows, kind)
    built.check(crash.recover(built, id))


def test_the_pace_is_kept_and_what_ends_the_work_is_heard_while_it_sleeps() -> None:
    now, asked = [0.0], [0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    def check() -> None:
        asked[0] += 1

    pace = Pace(10, check, clock=lambda: now[0], sleep=sleep)
    for _ in range(100):
        pace.passed(1 << 20)
    assert 9 <= now[0] <= 10.1
    before = asked[0]
    pace.passed(100 << 20)
    assert asked[0] - before > 10
