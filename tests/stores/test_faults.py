"""
A store whose service is stopped, restarted, slow, or answers garbage in the middle of upload, download and delete:
clear errors, nothing lost, no leftover, and everything else goes on.
"""

import os
import threading
import time

import pytest
from sqlalchemy import select

from moorage.drivers.stores import remote
from moorage.images.locations import location
from moorage.operations.records import OPEN, operations
from tests.patience import until

MIB = 1 << 20
DATA = os.urandom(12 * MIB + 77)
MOODS = ("away", "silent", "garbage", "trickle")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """What is slower than this is as good as silent: who trickles is found out soon."""
    monkeypatch.setattr(remote, "SLOWEST_BYTES_PER_S", 1 << 20)


def nothing_open(world):
    with world.cloud.database.read() as tx:
        return tx.all(select(operations.c.id).where(operations.c.state.in_(OPEN))) == []


def usable(world):
    return world.far.trouble() is None


def chunks_with(way, mood, after=8 * MIB):
    """The data as a client sends them, the store's mood changing on the way."""
    for start in range(0, len(DATA), 500_000):
        if start >= after:
            way.become(mood)
        yield DATA[start : start + 500_000]


def message(reply):
    return reply.json["message"]


@pytest.mark.parametrize("mood", MOODS)
def test_an_upload_meets_it(world, mood):
    id = world.cloud.image()
    reply = world.cloud.upload(id, chunks_with(world.way, mood))
    assert reply.status == 503 and "store far" in message(reply), message(reply)
    assert world.cloud.show(id)["status"] == "queued"
    world.way.become("well")
    until(lambda: usable(world) and nothing_open(world))
    assert world.direct.names() == frozenset()
    assert world.cloud.upload(id, DATA).status == 204
    assert world.cloud.call("GET", f"/image/v2/images/{id}/file").body == DATA


@pytest.mark.parametrize("mood", MOODS)
def test_a_download_meets_it_and_goes_on_in_another_store(world, mood, monkeypatch):
    monkeypatch.setattr(remote, "_TRIES", 1)  # it is ill to the end, and each try waits for a whole silence
    id = filled(world)
    copy_near(world, id)
    world.way.break_after = 3 * MIB
    threading.Thread(target=lambda: (until(lambda: world.way.break_after < 0), world.way.become(mood))).start()
    assert world.cloud.call("GET", f"/image/v2/images/{id}/file").body == DATA
    world.way.become(mood)
    world.way.cut()
    assert world.cloud.call("GET", f"/image/v2/images/{id}/file").body == DATA
    until(lambda: not usable(world))
    assert world.cloud.call("GET", f"/image/v2/images/{id}/file", headers={"Range": "bytes=5-9"}).body == DATA[5:10]


def test_a_download_that_has_no_other_store_is_refused_or_breaks_off_and_never_wrong(world):
    id = filled(world)
    world.way.become("away")
    reply = world.cloud.call("GET", f"/image/v2/images/{id}/file", headers={"accept": "application/json"})
    assert reply.status == 503 and "store far" in message(reply)
    world.way.become("well")
    until(lambda: usable(world))
    world.way.break_after = 2 * MIB
    threading.Thread(target=lambda: (until(lambda: world.way.break_after < 0), world.way.become("away"))).start()
    reply = world.cloud.call("GET", f"/image/v2/images/{id}/file")
    if reply.status == 503:  # it broke before the first byte
        assert not DATA.startswith(reply.body)
    else:
        assert DATA.startswith(reply.body) and (reply.broken or len(reply.body) == len(DATA))


def test_a_connection_that_breaks_is_taken_up_where_it_broke(world):
    id = filled(world)
    world.way.break_after = 5 * MIB + 3
    assert world.cloud.call("GET", f"/image/v2/images/{id}/file").body == DATA
    assert world.way.break_after == -1 and usable(world)


@pytest.mark.parametrize("mood", MOODS)
def test_a_delete_answers_at_once_and_is_done_when_it_is_back(world, mood):
    id, other = filled(world), filled(world)
    world.way.become(mood)
    world.way.cut()
    assert world.cloud.call("DELETE", f"/image/v2/images/{id}").status == 204
    assert world.cloud.call("GET", f"/image/v2/images/{id}").status == 404
    time.sleep(1.5)
    assert not nothing_open(world)
    world.way.become("well")
    until(lambda: nothing_open(world))
    assert {name.split("/")[1] for name in world.direct.names()} == {other}


def test_uploads_are_refused_at_once_and_those_to_another_store_go_on(world):
    id = world.cloud.image()
    world.way.become("away")
    world.far.look()
    until(lambda: not usable(world))
    for headers in ({}, {"x-image-meta-store": "far"}):
        reply = world.cloud.upload(id, b"data", headers=headers)
        assert reply.status == 503 and "The store far does not answer" in message(reply)
    assert world.cloud.show(id)["status"] == "queued"
    assert world.cloud.upload(id, b"data", headers={"x-image-meta-store": "near"}).status == 204
    assert world.cloud.call("GET", f"/image/v2/images/{id}/file").body == b"data"
    world.way.become("well")
    until(lambda: usable(world))
    assert world.cloud.upload(world.cloud.image(), b"data", headers={"x-image-meta-store": "far"}).status == 204


def test_the_store_of_a_base_image_is_left_out_while_it_is_down(world):
    base = filled(world)
    world.cloud.rooms.default_store = "near"
    world.way.become("away")
    world.far.look()
    until(lambda: not usable(world))
    id = world.cloud.image()
    assert world.cloud.upload(id, b"data", headers={"x-openstack-base-image-ref": base}).status == 204
    assert world.cloud.show(id)["stores"] == "near"


def test_administrators_are_told_why_and_since_when(world):
    def detail():
        return world.cloud.call("GET", "/image/v2/info/stores/detail", as_="root").json["stores"][0]

    assert not [key for key in detail()["properties"] if key.startswith("moorage_")]
    world.way.become("away")
    world.far.look()
    until(lambda: not usable(world))
    shown = detail()["properties"]
    assert shown["moorage_state"] == "disabled" and shown["moorage_reason"] and shown["moorage_since"].endswith("Z")
    world.way.become("well")
    until(lambda: usable(world))
    assert not [key for key in detail()["properties"] if key.startswith("moorage_")]


def test_a_slow_store_keeps_nobody_waiting_who_does_not_need_it(world):
    near = world.cloud.image()
    assert world.cloud.upload(near, DATA, headers={"x-image-meta-store": "near"}).status == 204
    far = filled(world)
    world.way.become("silent")
    readers = [
        threading.Thread(target=world.cloud.call, args=("GET", f"/image/v2/images/{far}/file")) for _ in range(6)
    ]
    for reader in readers:
        reader.start()
    assert world.cloud.call("GET", f"/image/v2/images/{near}/file").body == DATA
    assert any(reader.is_alive() for reader in readers)
    world.way.become("well")
    for reader in readers:
        reader.join(60)


def filled(world):
    """An image in the remote store."""
    id = world.cloud.image()
    reply = world.cloud.upload(id, DATA, headers={"x-image-meta-store": "far"})
    assert reply.status == 204, reply.body
    return id


def copy_near(world, id):
    """The image in the store of files, too."""
    name = f"images/{id}/copy-1"
    writer = world.cloud.stores["near"].create(name, len(DATA))
    writer.write(DATA)
    writer.commit()
    world.cloud.database.transact(lambda tx: location.hold(tx, id, "near", name))
